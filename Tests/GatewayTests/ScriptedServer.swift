import GatewayCrypto
import NIOCore
import NIOPosix
import RADIUS
import Synchronization
import Wire

/// A RADIUS server on a port of the loopback, whose answers are a test's.
final class ScriptedServer: Sendable {
    /// A request as it came; `count`: how often these octets have come, this time included.
    struct Request: Sendable {
        let packet: RADIUSPacket
        let octets: [UInt8]
        let port: Int
        let count: Int

        func name() -> String? { packet.first(.userName)?.text }

        /// Octets of a reply to it.
        func reply(
            _ code: RADIUSCode, _ attributes: [RADIUSAttribute] = [], secret: String = RADIUSGateway.secret, signed: Bool? = nil
        ) -> [UInt8] {
            let packet = RADIUSPacket(code, identifier: octets[1], attributes: attributes)
            return (try? packet.encode(secret: Secret(Array(secret.utf8)), request: RADIUSPacket.authenticator(of: octets), signed: signed)) ?? []
        }
    }

    typealias Script = @Sendable (Request) -> [[UInt8]]

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>

        private let answers: @Sendable ([UInt8], SocketAddress) -> [[UInt8]]

        init(_ answers: @escaping @Sendable ([UInt8], SocketAddress) -> [[UInt8]]) { self.answers = answers }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            for answer in answers(Array(envelope.data.readableBytesView), envelope.remoteAddress) {
                context.writeAndFlush(
                    wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))), promise: nil)
            }
        }
    }

    private let channel: any Channel
    private let stranger: any Channel
    let port: UInt16
    private let seen: Mutex<[Request]>

    private init(_ channel: any Channel, _ stranger: any Channel, _ seen: consuming Mutex<[Request]>) {
        self.channel = channel
        self.stranger = stranger
        port = UInt16(channel.localAddress?.port ?? 0)
        self.seen = seen
    }

    /// What came, in its order.
    var requests: [Request] { seen.withLock { $0 } }

    private final class Box: Sendable {
        let server = Mutex<ScriptedServer?>(nil)
    }

    /// A port that nobody listens on, for a server that begins later.
    static func freePort() async throws -> UInt16 {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let port = UInt16(channel.localAddress?.port ?? 0)
        try await channel.close().get()
        return port
    }

    /// Where it listens; 0: anywhere. Not an argument: an async function with more than six words of them crashes in debug builds of Swift 6.3.
    @TaskLocal static var wantedPort = 0

    /// Runs while `body` does. What `strange` makes goes out before the answers, from another port.
    static func with(
        _ script: @escaping Script, strange: @escaping Script = { _ in [] }, _ body: (ScriptedServer) async throws -> Void
    ) async throws {
        try RADIUSDictionary.load()
        let box = Box()
        let group = MultiThreadedEventLoopGroup.singleton
        let stranger = try await DatagramBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        let channel = try await DatagramBootstrap(group: group)
            .channelOption(.socketOption(.so_rcvbuf), value: 4 << 20)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Reader { octets, from in
                            guard let server = box.server.withLock({ $0 }), let request = server.take(octets, from) else { return [] }
                            for octets in strange(request) {
                                server.stranger.writeAndFlush(AddressedEnvelope(remoteAddress: from, data: ByteBuffer(bytes: octets)), promise: nil)
                            }
                            return script(request)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: wantedPort).get()
        let server = ScriptedServer(channel, stranger, Mutex([]))
        box.server.withLock { $0 = server }
        defer {
            box.server.withLock { $0 = nil }
            channel.close(promise: nil)
            stranger.close(promise: nil)
        }
        try await body(server)
    }

    private func take(_ octets: [UInt8], _ from: SocketAddress) -> Request? {
        let secret = Secret(Array(RADIUSGateway.secret.utf8))
        guard let packet = try? RADIUSPacket(decoding: octets, secret: secret, request: nil, requiresMessageAuthenticator: false) else { return nil }
        return seen.withLock { seen in
            let request = Request(packet: packet, octets: octets, port: from.port ?? 0, count: seen.count { $0.octets == octets } + 1)
            seen.append(request)
            return request
        }
    }
}
