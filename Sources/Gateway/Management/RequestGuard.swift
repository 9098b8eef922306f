internal import HTTPTypes
internal import ManagementAPI
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// Bounds on one HTTP request: its body's size, the time that it may take to arrive, and an answer to what is no HTTP at all.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: ManagementServer.Limits
    private var bodyOctets = 0
    /// An answer to the request that is being read has begun.
    private var answered = false
    /// The connection is on its way out: nothing passes any more.
    private var closing = false
    private var deadline: Scheduled<Void>?

    init(limits: ManagementServer.Limits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !closing else { return }
        switch unwrapInboundIn(data) {
        case .head:
            bodyOctets = 0
            answered = false
            startDeadline(context)
        case .body(let part):
            bodyOctets += part.readableBytes
            guard bodyOctets <= limits.bodyOctets else {
                let hint = "send at most \(limits.bodyOctets) octets"
                end(context, .contentTooLarge, ErrorAnswer(error: "the request's body is too large", hint: hint))
                return
            }
        case .end:
            deadline?.cancel()
            deadline = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !closing else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        if case .head = unwrapOutboundIn(data) { answered = true }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !closing else { return }
        switch error {
        case HTTPParserError.headerOverflow:
            let hint = "send at most \(limits.headerOctets) octets and \(limits.headerCount) fields of header"
            end(context, .requestHeaderFieldsTooLarge, ErrorAnswer(error: "the request's header is too large", hint: hint))
        case is HTTPParserError, is HTTP1TypeConversionError:
            end(context, .badRequest, ErrorAnswer(error: "this is no HTTP request", hint: "speak HTTP/1.1; ipsec-gwctl does"))
        default:
            context.fireErrorCaught(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
    }

    private func startDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let answer = ErrorAnswer(error: "the request did not arrive in time", hint: "send the whole request at once")
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(limits.requestTimeout)) {
            self.end(context, .requestTimeout, answer)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if closing, case ChannelEvent.inputClosed = event {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Answers, unless an answer has begun, and closes the connection: our side at once, the other when the peer is done or
    /// a second later. Closed while the peer still sends, the answer would be lost with the reset.
    private func end(_ context: ChannelHandlerContext, _ status: HTTPResponse.Status, _ answer: ErrorAnswer) {
        closing = true
        deadline?.cancel()
        deadline = nil
        if !answered, let body = try? ManagementCoding.encode(answer) {
            let fields: HTTPFields = [.contentType: "application/json", .contentLength: String(body.count), .connection: "close"]
            context.write(wrapOutboundOut(.head(HTTPResponse(status: status, headerFields: fields))), promise: nil)
            context.write(wrapOutboundOut(.body(ByteBuffer(bytes: body))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.close(mode: .output, promise: nil)
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
    }
}

@available(*, unavailable)
extension RequestGuard: Sendable {}
