import { endianness } from 'node:os';
import { describe, expect, it } from 'vitest';
import { SocketTables } from '#farlight/link/address/socket-table.js';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const row = (ends: string, state: string, uid: number, inode: number) =>
  `   0: ${ends} ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000023807327 100 0 0 10 0`;

const LOOP = '0100007F';
const MAPPED = '0000000000000000FFFF00000100007F';
const ONE = '00000000000000000000000001000000';
const NONE6 = '0'.repeat(32);

/** As Linux prints them on a machine of the other byte order. */
const TEXTS = {
  tcp: [
    HEAD,
    row(`${LOOP}:9B2B 00000000:0000`, '0A', 1001, 675972),
    row('00000000:07E8 00000000:0000', '0A', 0, 1082),
    // An IPv4 client of the dual-stack server below.
    row(`${LOOP}:DB04 ${LOOP}:AD5F`, '01', 1002, 675976),
    row(`${LOOP}:9B2B ${LOOP}:CE78`, '01', 1001, 675975),
    row(`${LOOP}:CE78 ${LOOP}:9B2B`, '01', 1003, 675974),
    // Closed by its process: the table shows root.
    row(`${LOOP}:CE7C ${LOOP}:9B2B`, '06', 0, 0),
    // Not accepted yet.
    row(`${LOOP}:9B2B ${LOOP}:CE80`, '01', 0, 0),
    row(`${LOOP}:CE80 ${LOOP}:9B2B`, '01', 65534, 675999),
    '',
  ].join('\n'),
  tcp6: [
    HEAD,
    row(`${NONE6}:AD5F ${NONE6}:0000`, '0A', 1004, 675973),
    row(`${MAPPED}:AD5F ${MAPPED}:DB04`, '01', 1004, 675977),
    row(`${ONE}:94D4 ${ONE}:AD5F`, '01', 1005, 675978),
    row(`${MAPPED}:DB14 ${MAPPED}:AD5F`, '01', 1006, 675980),
    '',
  ].join('\n'),
};

const TABLES = new SocketTables(TEXTS);

const at = (port: number, address = '127.0.0.1') => ({ address, port });

describe.runIf(endianness() === 'LE')('the tables of TCP sockets', () => {
  it('tell the user of either end of a connection', () => {
    expect(TABLES.socketOf(at(52856), at(39723))).toMatchObject({ uid: 1003 });
    expect(TABLES.socketOf(at(39723), at(52856))).toMatchObject({ uid: 1001 });
  });

  it('tell the user where one end is an IPv4 socket and the other a dual-stack one', () => {
    expect(TABLES.socketOf(at(56068), at(44383))).toMatchObject({ uid: 1002 });
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1'])
      expect(TABLES.socketOf(at(44383, address), at(56068, address))).toMatchObject({ uid: 1004 });
    expect(TABLES.socketOf(at(56084), at(44383))).toMatchObject({ uid: 1006 });
    expect(TABLES.socketOf(at(38100, '::1'), at(44383, '::1'))).toMatchObject({ uid: 1005 });
  });

  it('give no user, and not root, for a closed or unaccepted connection', () => {
    expect(TABLES.socketOf(at(52860), at(39723))).toMatchObject({ uid: undefined });
    expect(TABLES.socketOf(at(39723), at(52864))).toMatchObject({ uid: undefined });
  });

  it('give no user for an unknown connection', () => {
    for (const [local, remote] of [
      [at(52856), at(39724)],
      [at(52856, '127.0.0.2'), at(39723)],
      [at(38100), at(44383)],
      [at(52856, 'localhost'), at(39723)],
    ] as const)
      expect(TABLES.socketOf(local, remote)).toBeUndefined();
    expect(new SocketTables({ tcp: '', tcp6: '' }).socketOf(at(52856), at(39723))).toBeUndefined();
  });

  it('tell the user of a listener, one at the exact address before one at every address', () => {
    expect(TABLES.listenerAt(at(39723))).toMatchObject({ uid: 1001 });
    expect(TABLES.listenerAt(at(39723, '127.0.0.2'))).toBeUndefined();
    expect(TABLES.listenerAt(at(2024))).toMatchObject({ uid: 0 });
    expect(TABLES.listenerAt(at(44383))).toMatchObject({ uid: 1004 });
    expect(TABLES.listenerAt(at(44383, '::1'))).toMatchObject({ uid: 1004 });
    const both = new SocketTables({
      tcp: `${TEXTS.tcp}${row(`${LOOP}:AD5F 00000000:0000`, '0A', 7, 8)}\n`,
      tcp6: TEXTS.tcp6,
    });
    expect(both.listenerAt(at(44383))).toMatchObject({ uid: 7 });
    expect(TABLES.listenerAt(at(52856))).toBeUndefined();
    expect(both.listenersNaming(at(44383))).toMatchObject([{ uid: 7, inode: 8 }]);
    expect(TABLES.listenersNaming(at(44383))).toEqual([]);
    expect(TABLES.listenersNaming(at(39723))).toMatchObject([{ uid: 1001, inode: 675972 }]);
  });
});
