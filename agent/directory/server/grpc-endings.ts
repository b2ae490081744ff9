/**
 * Calls that gRPC ends by itself, as for a message that is too long or that it cannot unpack → their status.
 *
 * gRPC sends such a status past the handler of the method, which hears of a call that ended and not why.
 */
import { ServerInterceptingCall, type ServerInterceptor, status } from "@grpc/grpc-js";

/** @param onEnd called with the status of each call that the method's handler did not end itself */
export function grpcEndings(onEnd: (code: status) => void): ServerInterceptor {
  return (_, call) => {
    let isHandlers = false;
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (ending) => {
      if (!isHandlers) onEnd(ending.code ?? status.UNKNOWN);
      sendStatus(ending);
    };
    return new ServerInterceptingCall(call, {
      sendStatus: (ending, next) => {
        isHandlers = true;
        next(ending);
      },
    });
  };
}
