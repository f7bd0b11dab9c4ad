import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { HoldsResponseSchema, ReplicaService } from '../proto/gen/backupvault/v1/replica_pb.ts';
import { serviceDefinition } from './bridge.ts';

test('what a reply has in fields that nobody knows is not handed on: no signature covers it', () => {
  const { holds } = serviceDefinition(ReplicaService);
  const known = toBinary(HoldsResponseSchema, create(HoldsResponseSchema, { held: [{ index: 1 }] }));
  const padding = Buffer.from([0xfa, 0x7f, 3, 1, 2, 3]); // field 2047
  const read = holds?.responseDeserialize(Buffer.concat([known, padding])) as object;
  expect(Buffer.from(toBinary(HoldsResponseSchema, read as never))).toEqual(Buffer.from(known));
  expect(holds?.requestDeserialize(padding)).toHaveProperty('$unknown');
});
