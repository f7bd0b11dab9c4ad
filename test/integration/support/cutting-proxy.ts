import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands before one replica, and loses replies by cutting connections: the request has passed, the answer has not. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #armed = false;
  #cut = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async before(address: string): Promise<CuttingProxy> {
    const [host, port] = address.split(':') as [string, string];
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on('connection', (near) => proxy.#join(near, connect(Number(port), host)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections were cut. */
  get cut(): number {
    return this.#cut;
  }

  /** Cuts the connection on which the replica speaks next. */
  arm(): void {
    this.#armed = true;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #join(near: Socket, far: Socket): void {
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      this.#open.add(socket);
      socket.once('close', () => {
        this.#open.delete(socket);
        end();
      });
      socket.on('error', end);
    }
    near.pipe(far);
    far.on('data', (chunk) => {
      if (!this.#armed) return near.write(chunk);
      this.#armed = false;
      this.#cut++;
      end();
    });
  }
}
