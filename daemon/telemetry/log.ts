import winston from 'winston';

export type Log = winston.Logger;

/**
 * JSON lines on stderr. What may be logged is what telemetry/events.ts names: no caller passes objects of its own, so nothing has to
 * be redacted afterwards.
 */
export function createLog(level: string, replica: number): Log {
  return winston.createLogger({
    level,
    defaultMeta: { replica },
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.Stream({ stream: process.stderr })],
  });
}
