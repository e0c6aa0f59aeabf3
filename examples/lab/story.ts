/**
 * The story that both labs tell: who stands where, what is typed at the director, what is asked for, and what must come
 * of it. The lab in network namespaces and the one in memory differ only in how they lay the cables.
 */

/** The forward method the lab shows: direct routing, masquerading, IPIP tunnels. */
export type LabMode = 'dr' | 'nat' | 'tun';
export const LAB_MODES: readonly LabMode[] = ['dr', 'nat', 'tun'];

/** Prints one line. */
export type Print = (line: string) => void;

/** One of the two web servers. */
export interface WebServer {
  readonly name: string;
  /** Its own address (RIP), with prefix length. */
  readonly address: string;
  /** Where it sends what is not for its own subnet. */
  readonly gateway: string;
  readonly httpPort: number;
  readonly httpsPort: number;
}

/** What the client asks ten times, and on which port the director gets it. */
export interface Request {
  readonly url: string;
  readonly servicePort: number;
}

/** A port that the router maps from its outer address to the VIP. */
export interface PortMap {
  readonly address: string;
  readonly port: number;
  readonly to: string;
  readonly toPort: number;
}

/** The router between the client's network and the director's. */
export interface Router {
  /** On the client's network. */
  readonly outside: string;
  /** On the director's network. */
  readonly inside: string;
  /** On the servers' network, where that is a third one. */
  readonly servers?: string;
  /** DNAT of what comes from outside. */
  readonly dnat: readonly PortMap[];
  /** SNAT of what leaves to the outside from the director's network. */
  readonly snat: { readonly from: string; readonly to: string };
}

/** Everything there is to lay out and to type for one mode. */
export interface Story {
  readonly mode: LabMode;
  readonly title: string;
  /** The network as text, for the reader. */
  readonly map: readonly string[];
  readonly client: { readonly address: string };
  /** Absent where the client shares a network with the director's outer arm. */
  readonly router?: Router;
  readonly director: {
    /** One list of addresses per interface, outermost interface first. */
    readonly interfaces: readonly (readonly string[])[];
    readonly gateway?: string;
    /** Whether it routes what is not for itself: `net.ipv4.ip_forward`. */
    readonly forwarding: boolean;
  };
  readonly vip: string;
  /** Whether the servers carry the VIP too: on `lo`, or on the tunnel's end. */
  readonly vipOnServers: boolean;
  readonly servers: readonly WebServer[];
  /** ipvsadm's arguments, a command a line. */
  readonly commands: readonly string[];
  readonly requests: readonly Request[];
  /** The state that every finished connection must show in `ipvsadm -Lnc`. */
  readonly finalState: string;
  /** Whether the director sees the answers: only then OutPkts counts. */
  readonly answersPassDirector: boolean;
}

/** The name of the site that is asked for. */
export const SITE = 'www.xuzhichao.com';

/** The page of a server: what its answers show. */
export function pageOf(name: string): string {
  return `${name}.xuzhichao.com page`;
}

/** How often each URL is asked for. */
export const REQUESTS_PER_URL = 10;

const CLIENT = '192.168.20.17/24';
const ROUTER_OUTSIDE = '192.168.20.50';
const ROUTER_INSIDE = '192.168.50.50';
const DIP = '192.168.50.31';
const VIP = '192.168.50.100';

function commandsFor(vip: string, servers: readonly WebServer[], method: '-g' | '-m' | '-i'): string[] {
  const lines = [`-A -t ${vip}:80 -s rr`, `-A -t ${vip}:443 -s rr`];
  for (const server of servers) lines.push(`-a -t ${vip}:80 -r ${hostOf(server.address)}:${server.httpPort} ${method}`);
  for (const server of servers)
    lines.push(`-a -t ${vip}:443 -r ${hostOf(server.address)}:${server.httpsPort} ${method}`);
  return lines;
}

function webServers(network: string, gateway: string, httpPort: number, httpsPort: number): WebServer[] {
  return [
    { name: 'node1', address: `${network}.22/24`, gateway, httpPort, httpsPort },
    { name: 'node2', address: `${network}.23/24`, gateway, httpPort, httpsPort },
  ];
}

function requestsTo(address: string): Request[] {
  return [
    { url: `http://${address}/`, servicePort: 80 },
    { url: `https://${address}/`, servicePort: 443 },
  ];
}

const ROUTER: Router = {
  outside: `${ROUTER_OUTSIDE}/24`,
  inside: `${ROUTER_INSIDE}/24`,
  dnat: [
    { address: ROUTER_OUTSIDE, port: 80, to: VIP, toPort: 80 },
    { address: ROUTER_OUTSIDE, port: 443, to: VIP, toPort: 443 },
  ],
  snat: { from: '192.168.50.0/24', to: ROUTER_OUTSIDE },
};

function directRouting(): Story {
  const servers = webServers('192.168.50', ROUTER_INSIDE, 80, 443);
  return {
    mode: 'dr',
    title: 'Direct routing (ipvsadm -g): the servers answer the client themselves',
    map: [
      'client 192.168.20.17 --- 192.168.20.50 router 192.168.50.50 ---+--- director 192.168.50.31, VIP 192.168.50.100',
      '                                                               +--- node1 192.168.50.22, VIP on lo',
      '                                                               +--- node2 192.168.50.23, VIP on lo',
      'The router maps its ports 80 and 443 to the VIP; the servers keep silent about the VIP (arp_ignore, arp_announce).',
    ],
    client: { address: CLIENT },
    router: ROUTER,
    director: { interfaces: [[`${DIP}/24`, `${VIP}/32`]], gateway: ROUTER_INSIDE, forwarding: false },
    vip: VIP,
    vipOnServers: true,
    servers,
    commands: commandsFor(VIP, servers, '-g'),
    requests: requestsTo(ROUTER_OUTSIDE),
    finalState: 'FIN_WAIT',
    answersPassDirector: false,
  };
}

function masquerading(): Story {
  const vip = '192.168.20.100';
  const servers = webServers('192.168.50', DIP, 8080, 8443);
  return {
    mode: 'nat',
    title: "Masquerading (ipvsadm -m): two arms, mapped ports, the director is the servers' gateway",
    map: [
      'client 192.168.20.17 --- 192.168.20.31, VIP 192.168.20.100 director 192.168.50.31 ---+--- node1 192.168.50.22',
      '                                                                                     +--- node2 192.168.50.23',
      'The servers listen on ports 8080 and 8443 and know nothing of the VIP.',
    ],
    client: { address: CLIENT },
    director: { interfaces: [['192.168.20.31/24', `${vip}/32`], [`${DIP}/24`]], forwarding: true },
    vip,
    vipOnServers: false,
    servers,
    commands: commandsFor(vip, servers, '-m'),
    requests: requestsTo(vip),
    finalState: 'TIME_WAIT',
    answersPassDirector: true,
  };
}

function tunnelling(): Story {
  const servers = webServers('192.168.60', '192.168.60.50', 80, 443);
  return {
    mode: 'tun',
    title: 'Tunnelling (ipvsadm -i): the servers stand in another subnet and unwrap IPIP',
    map: [
      'client 192.168.20.17 --- 192.168.20.50 router 192.168.50.50 --- director 192.168.50.31, VIP 192.168.50.100',
      '                                       router 192.168.60.50 ---+--- node1 192.168.60.22, VIP on the tunnel',
      '                                                               +--- node2 192.168.60.23, VIP on the tunnel',
      'The router maps its ports 80 and 443 to the VIP.',
    ],
    client: { address: CLIENT },
    router: { ...ROUTER, servers: '192.168.60.50/24' },
    director: { interfaces: [[`${DIP}/24`, `${VIP}/32`]], gateway: ROUTER_INSIDE, forwarding: false },
    vip: VIP,
    vipOnServers: true,
    servers,
    commands: commandsFor(VIP, servers, '-i'),
    requests: requestsTo(ROUTER_OUTSIDE),
    finalState: 'FIN_WAIT',
    answersPassDirector: false,
  };
}

/** The story of a mode. */
export function storyOf(mode: LabMode): Story {
  switch (mode) {
    case 'dr':
      return directRouting();
    case 'nat':
      return masquerading();
    case 'tun':
      return tunnelling();
  }
}

/** The address without its prefix length. */
export function hostOf(address: string): string {
  return address.replace(/\/\d+$/, '');
}

/** What the lab shows in the end: ipvsadm's arguments. */
export const LISTINGS = ['-Ln', '-Lnc', '-Ln --stats', '-Ln --rate'] as const;
export type Listing = (typeof LISTINGS)[number];

/** What came back differs from what the story says must come back. */
export class LabFailure extends Error {
  override readonly name = 'LabFailure';
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new LabFailure(otherwise);
}

/** What a run brought: the answers to every request of the story, in order, and the listings as printed. */
export interface Outcome {
  /** Per entry of `story.requests`: the names of the servers that answered, in order. */
  readonly answers: readonly (readonly string[])[];
  readonly listings: Readonly<Record<Listing, string>>;
}

/**
 * Checks that round robin's answers alternate, beginning with the server that was added last, as Linux does.
 * @throws LabFailure
 */
export function checkAnswers(story: Story, request: Request, answers: readonly string[]): void {
  const names = story.servers.map((server) => server.name).reverse();
  const expected = Array.from({ length: REQUESTS_PER_URL }, (_, i) => names[i % names.length]!);
  expect(
    answers.join(' ') === expected.join(' '),
    `${request.url}: the answers must be '${expected.join(' ')}', they are '${answers.join(' ')}'`,
  );
}

/**
 * Checks everything that a run brought: answers, connection entries and counters.
 * @throws LabFailure
 */
export function checkOutcome(story: Story, outcome: Outcome): void {
  story.requests.forEach((request, i) => {
    checkAnswers(story, request, outcome.answers[i] ?? []);
  });
  checkServices(story, outcome.listings['-Ln']);
  checkConnections(story, outcome.listings['-Lnc']);
  checkStats(story, outcome.listings['-Ln --stats']);
}

function rows(listing: string): string[][] {
  return listing
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[0] === 'TCP' || words[0] === '->');
}

function checkServices(story: Story, listing: string): void {
  const finished = REQUESTS_PER_URL / story.servers.length;
  const destinations = rows(listing).filter((words) => words[0] === '->' && /^\d/.test(words[1]!));
  expect(
    destinations.length === story.requests.length * story.servers.length,
    `ipvsadm -Ln must show ${story.requests.length * story.servers.length} real servers, it shows ${destinations.length}`,
  );
  for (const [, server, , , active, inactive] of destinations) {
    expect(
      active === '0' && inactive === String(finished),
      `ipvsadm -Ln must show ${server} with 0 active and ${finished} inactive connections, not ${active} and ${inactive}`,
    );
  }
}

function checkConnections(story: Story, listing: string): void {
  const entries = rows(listing);
  const expected = story.requests.length * REQUESTS_PER_URL;
  expect(entries.length === expected, `ipvsadm -Lnc must show ${expected} entries, it shows ${entries.length}`);
  for (const [, , state, source, virtual] of entries) {
    expect(
      state === story.finalState,
      `ipvsadm -Lnc must show ${source} -> ${virtual} in ${story.finalState}, not ${state}`,
    );
    expect(
      source!.replace(/:\d+$/, '') === hostOf(story.client.address),
      `ipvsadm -Lnc must show the client ${hostOf(story.client.address)} as the source, not ${source}`,
    );
  }
}

function checkStats(story: Story, listing: string): void {
  const services = rows(listing).filter((words) => words[0] === 'TCP');
  expect(
    services.length === story.requests.length,
    `ipvsadm -Ln --stats must show ${story.requests.length} services, it shows ${services.length}`,
  );
  for (const [, service, connections, inPackets, outPackets] of services) {
    expect(
      connections === String(REQUESTS_PER_URL),
      `ipvsadm -Ln --stats must show ${REQUESTS_PER_URL} connections for ${service}, not ${connections}`,
    );
    expect(inPackets !== '0', `ipvsadm -Ln --stats must show packets for ${service}`);
    expect(
      (outPackets !== '0') === story.answersPassDirector,
      `ipvsadm -Ln --stats must show ${story.answersPassDirector ? 'some' : 'no'} OutPkts for ${service}, not ${outPackets}`,
    );
  }
}

/** Prints what the lab is about to show. */
export function printStory(print: Print, story: Story): void {
  print(story.title);
  print('');
  for (const line of story.map) print(`  ${line}`);
}

/** Prints a heading between two parts of the lab. */
export function printHeading(print: Print, text: string): void {
  print('');
  print(`== ${text}`);
}

/** Prints a command at the director's prompt and what it said. */
export function printIpvsadm(print: Print, commandLine: string, out: string): void {
  print(`director# ipvsadm ${commandLine}`);
  const text = out.replace(/\n$/, '');
  if (text !== '') for (const line of text.split('\n')) print(line);
}
