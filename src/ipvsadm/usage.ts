/** What `-v` prints: the version of the command language that is spoken here. */
export const VERSION = 'ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n';

/** What `-h` prints after the version. */
export const USAGE = `One command per line, then its options:
  ipvsadm -A|-E SERVICE [-s SCHEDULER] [-b FLAG,...] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-o]
  ipvsadm -D SERVICE
  ipvsadm -a|-e SERVICE -r SERVER [-g|-m|-i [TUNNEL]] [-w WEIGHT] [-x UPPER] [-y LOWER]
  ipvsadm -d SERVICE -r SERVER
  ipvsadm -L [SERVICE] [-n] [--stats|--rate|--thresholds|--persistent-conn|--tun-info] [--exact] [--nosort]
  ipvsadm -L -c [-n] [--persistent-conn] | --timeout | --daemon
  ipvsadm -Z [SERVICE]       zero counters
  ipvsadm -C                 remove all services
  ipvsadm -S [-n] | -R       print all services as commands | run commands from the input
  ipvsadm --set TCP TCPFIN UDP
  ipvsadm --start-daemon master|backup [--mcast-interface NAME] [--syncid ID] [--sync-maxlen BYTES]
          [--mcast-group ADDRESS] [--mcast-port PORT] [--mcast-ttl TTL]
  ipvsadm --stop-daemon master|backup
  ipvsadm -h | -v
where
  SERVICE   -t|-u|--sctp-service HOST[:PORT] | -f MARK [-6]
  SERVER    HOST[:PORT]; IPv6 addresses with a port in brackets
  TUNNEL    --tun-type ipip|gue|gre [--tun-port PORT] [--tun-nocsum|--tun-csum|--tun-remcsum]
  FLAG      sh-fallback sh-port mh-fallback mh-port flag-1 flag-2 flag-3
`;
