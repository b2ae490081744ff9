/**
 * Calls that wait for an answer from elsewhere, each with its own time limit.
 */

interface Call<Value> {
  readonly mark: number;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class Calls<Value> {
  readonly #waiting = new Set<Call<Value>>();

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * @param why the error of a call whose time is over
   * @param mark what the call waits for, see resolve()
   */
  wait(timeoutMs: number, why: () => Error, mark = 0): Promise<Value> {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const timer = setTimeout(() => {
      this.#waiting.delete(call);
      reject(why());
    }, timeoutMs);
    const call: Call<Value> = { mark, resolve, reject, timer };
    this.#waiting.add(call);
    return promise;
  }

  /** Answers the calls whose mark is at most `reached`. */
  resolve(value: Value, reached = Number.POSITIVE_INFINITY): void {
    for (const call of this.#waiting) if (call.mark <= reached) this.#end(call).resolve(value);
  }

  /** Fails all calls. */
  reject(error: Error): void {
    for (const call of this.#waiting) this.#end(call).reject(error);
  }

  #end(call: Call<Value>): Call<Value> {
    clearTimeout(call.timer);
    this.#waiting.delete(call);
    return call;
  }
}
