import { fromHex, toHex } from '../../primitives/bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';

/** By which etcd and the guards know a point; all in hexadecimal. */
export const hashOfPoint = (point: string): string => toHex(pointTranscript(parsePoint(fromHex(point, 'point'), 'point')).digest);
