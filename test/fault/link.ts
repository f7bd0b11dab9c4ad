import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePorts } from '../harness/free-port.ts';

export type Direction = 'there' | 'back';

interface Joint {
  readonly near: Socket;
  readonly far: Socket;
}

/** Stands between two parties, and can keep back what one of them says to the other, or break their connections. */
export class Link {
  readonly port: number;
  readonly #server: Server;
  readonly #target: number;
  readonly #joints = new Set<Joint>();
  readonly #held = new Set<Direction>();
  #refusing = false;

  private constructor(server: Server, port: number, target: number) {
    this.#server = server;
    this.port = port;
    this.#target = target;
    server.on('connection', (near) => this.#join(near));
  }

  /** Leads to `target` on this machine. */
  static async to(target: number): Promise<Link> {
    const [port] = (await freePorts(1)) as [number];
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return new Link(server, port, target);
  }

  /** What is said in this direction waits; the other direction is as it was. */
  hold(direction: Direction): void {
    this.#held.add(direction);
    for (const joint of this.#joints) source(joint, direction).pause();
  }

  /** What waited arrives, late. */
  release(direction: Direction): void {
    this.#held.delete(direction);
    for (const joint of this.#joints) source(joint, direction).resume();
  }

  break(): void {
    for (const { near, far } of this.#joints) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  refuse(refusing: boolean): void {
    this.#refusing = refusing;
    if (refusing) this.break();
  }

  heal(): void {
    this.#refusing = false;
    for (const direction of [...this.#held]) this.release(direction);
  }

  close(): void {
    this.#server.close();
    this.break();
  }

  #join(near: Socket): void {
    if (this.#refusing) {
      near.resetAndDestroy();
      return;
    }
    const joint = { near, far: connect(this.#target, '127.0.0.1') };
    this.#joints.add(joint);
    for (const socket of [joint.near, joint.far]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#joints.delete(joint);
        joint.near.destroy();
        joint.far.destroy();
      });
    }
    this.#carry(joint.near, joint.far, 'there');
    this.#carry(joint.far, joint.near, 'back');
  }

  /** As pipe() does, which would go on by itself after a pause. */
  #carry(from: Socket, to: Socket, direction: Direction): void {
    from.on('data', (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (!this.#held.has(direction)) from.resume();
    });
    from.on('end', () => to.end());
    if (this.#held.has(direction)) from.pause();
  }
}

const source = ({ near, far }: Joint, direction: Direction): Socket => (direction === 'there' ? near : far);
