import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { residentMiB } from '../harness/process-usage.ts';
import { openTokenStage } from './token-stage.ts';

// A process of its own, whose memory nothing else moves: evaluations through the port, and resident memory along them. Prints JSON.

const { values } = parseArgs({ options: { evaluations: { type: 'string', default: '10000' } } });
const evaluations = Number(values.evaluations);
const SAMPLES = 20;
const IN_FLIGHT = 16;

/** With --expose-gc. */
const collect = (globalThis as { gc?: () => void }).gc;

exitWhenIdle();
const { port, requests, close } = await openTokenStage({}); // recycled, as in a replica
const samples: number[] = [];
const portion = Math.ceil(evaluations / SAMPLES);
for (let sample = 0; sample < SAMPLES; sample++) {
  let left = portion;
  const lane = async () => {
    while (left-- > 0) await port.evaluate(requests.evaluate);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  collect?.(); // else V8's liking for room is most of what is seen
  samples.push(residentMiB(process.pid));
}
await close();

const warm = samples.slice(SAMPLES / 2);
console.log(JSON.stringify({ evaluations: portion * warm.length, growthMiB: slopeOf(warm) * warm.length, samples }));

/** Of the line that fits best. */
function slopeOf(heights: readonly number[]): number {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
  const [middle, height] = [(heights.length - 1) / 2, mean(heights)];
  const covariance = mean(heights.map((each, i) => (i - middle) * (each - height)));
  return covariance / mean(heights.map((_, i) => (i - middle) ** 2));
}
