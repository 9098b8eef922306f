internal import NIOCore
internal import NIOPosix
internal import Wire

/// A UDP socket of the control plane: connected to one peer, so that the kernel drops what anybody else sends.
final class DatagramSocket: Sendable {
    private let channel: any Channel

    private init(_ channel: any Channel) {
        self.channel = channel
    }

    /// Largest datagram that is read: a RADIUS packet has at most 4,096 octets, and a longer one is to be seen as too long.
    static let readOctets = 8192

    /// `receive` runs on the event loop. Throws what the kernel says.
    static func connect(
        to peer: Endpoint, group: any EventLoopGroup, receive: @escaping @Sendable ([UInt8]) -> Void
    ) async throws -> DatagramSocket {
        let channel = try await DatagramBootstrap(group: group)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: readOctets))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramReader { octets, _, _ in receive(octets) })
                }
            }
            .connect(to: try SocketAddress(peer)).get()
        return DatagramSocket(channel)
    }

    var isOpen: Bool { channel.isActive }

    /// Runs once the socket is closed: also when a send meets what the kernel has to say of one before it (a port that nobody listens on).
    func whenClosed(_ body: @escaping @Sendable () -> Void) {
        channel.closeFuture.whenComplete { _ in body() }
    }

    /// Sends without waiting; a datagram may be lost anyway.
    func send(_ octets: [UInt8]) {
        channel.writeAndFlush(ByteBuffer(bytes: octets), promise: nil)
    }

    func close() {
        channel.close(promise: nil)
    }
}

/// Hands on what a datagram channel reads, with where it came from and what it was sent to.
final class DatagramReader: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let receive: @Sendable ([UInt8], SocketAddress, SocketAddress?) -> Void

    init(_ receive: @escaping @Sendable ([UInt8], SocketAddress, SocketAddress?) -> Void) {
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        receive(Array(envelope.data.readableBytesView), envelope.remoteAddress, envelope.metadata?.packetInfo?.destinationAddress)
    }

    /// What the kernel reports is about one datagram; what is more closes the channel.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

extension SocketAddress {
    /// Throws `SocketAddressError`.
    init(_ endpoint: Endpoint) throws {
        try self.init(ipAddress: endpoint.address.description, port: Int(endpoint.port))
    }
}

extension Endpoint {
    init?(_ address: SocketAddress) {
        guard let text = address.ipAddress, let ip = IPAddress(String(text.prefix { $0 != "%" })), let port = address.port else { return nil }
        self.init(ip, port: UInt16(clamping: port))
    }
}
