/** The course of a lab, the same on any cables: configure the director, ask, list, check. */
import { setTimeout as pause } from 'node:timers/promises';
import {
  checkOutcome,
  LabFailure,
  LISTINGS,
  type Listing,
  type Print,
  pageOf,
  printHeading,
  printIpvsadm,
  REQUESTS_PER_URL,
  type Request,
  type Story,
} from './story.ts';

/** What a lab brings to the telling. */
export interface Stage {
  readonly print: Print;
  readonly director: { ipvsadm(commandLine: string): { readonly status: number; readonly out: string } };
  /** How the client's requests are shown, for a reader who wants to know what exactly is asked. */
  commandFor(url: string): string;
  /** Sends one request. @returns the page, without its line end. @throws LabFailure */
  ask(url: string): Promise<string>;
}

/** The rate estimator counts for two seconds before it shows anything. */
const ESTIMATOR_PERIOD_MS = 2000;

/**
 * Tells the story on a stage that has been laid out.
 * @throws LabFailure when something comes out otherwise than the story says.
 */
export async function tell(story: Story, stage: Stage): Promise<void> {
  printHeading(stage.print, 'The services');
  for (const command of story.commands) ipvsadm(stage, command);
  const answers: string[][] = [];
  for (const request of story.requests) answers.push(await askForAll(story, stage, request));
  await pause(ESTIMATOR_PERIOD_MS + 100);
  const listings = Object.fromEntries(LISTINGS.map((listing) => [listing, list(stage, listing)]));
  checkOutcome(story, { answers, listings: listings as Record<Listing, string> });
}

function ipvsadm({ director, print }: Stage, command: string): string {
  const { status, out } = director.ipvsadm(command);
  printIpvsadm(print, command, out);
  if (status !== 0) throw new LabFailure(`ipvsadm ${command}: exit status ${status}`);
  return out;
}

/** @returns the names of the servers that answered. */
async function askForAll(story: Story, stage: Stage, { url }: Request): Promise<string[]> {
  printHeading(stage.print, `Ten requests to ${url}`);
  stage.print(`client# ${stage.commandFor(url)}`);
  const names: string[] = [];
  for (let i = 0; i < REQUESTS_PER_URL; i++) {
    const page = await stage.ask(url);
    stage.print(page);
    names.push(story.servers.find(({ name }) => pageOf(name) === page)?.name ?? page);
  }
  return names;
}

function list(stage: Stage, listing: Listing): string {
  stage.print('');
  return ipvsadm(stage, listing);
}
