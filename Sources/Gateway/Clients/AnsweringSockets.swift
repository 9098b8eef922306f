internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import Wire

/// A UDP port on every address of the host, whose answers leave from the address that was asked: who asked takes them from nowhere else.
///
/// One socket of each family takes what comes. What it was sent to gets a socket of its own, bound to that address, with the first datagram:
/// the kernel prefers it from then on, and its answers have the right source.
final class AnsweringSockets: Sendable {
    /// A datagram's octets, whom it came from, and how to answer it.
    typealias Receive = @Sendable ([UInt8], Endpoint, @escaping @Sendable ([UInt8]) -> Void) -> Void

    private struct State {
        var channels: [any Channel] = []
        var byAddress: [IPAddress: any Channel] = [:]
        var opening: Set<IPAddress> = []
        var isClosed = false
    }

    private let port: UInt16
    private let group: any EventLoopGroup
    private let receive: Receive
    private let state = Mutex(State())

    /// Addresses of a host that are asked (threats.md, rule 7).
    static let mostAddresses = 64

    init(port: UInt16, group: any EventLoopGroup, receive: @escaping Receive) {
        self.port = port
        self.group = group
        self.receive = receive
    }

    /// Opens the port. Throws what the kernel says, where neither family could be opened.
    func open() async throws {
        var failure: (any Error)?
        for any in ["0.0.0.0", "::"] {
            do {
                let channel = try await bind(try SocketAddress(ipAddress: any, port: Int(port)))
                state.withLock { $0.channels.append(channel) }
            } catch {
                failure = error
            }
        }
        if state.withLock({ $0.channels.isEmpty }), let failure { throw failure }
    }

    func close() {
        let channels = state.withLock { state in
            state.isClosed = true
            return state.channels + state.byAddress.values
        }
        for channel in channels { channel.close(promise: nil) }
    }

    private func bind(_ address: SocketAddress) async throws -> any Channel {
        var bootstrap = DatagramBootstrap(group: group).channelOption(.socketOption(.so_reuseaddr), value: 1)
        if address.protocol == .inet6 {
            // IPv4 has a socket of its own
            bootstrap = bootstrap.channelOption(ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
        }
        return
            try await bootstrap
            .channelOption(.receivePacketInfo, value: true)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: DatagramSocket.readOctets))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        DatagramReader { [weak self, weak channel] octets, from, to in
                            guard let self, let channel, let from = Endpoint(from) else { return }
                            self.taken(octets, from: from, to: to.flatMap { Endpoint($0)?.address }, by: channel)
                        })
                }
            }
            .bind(to: address).get()
    }

    private func taken(_ octets: [UInt8], from: Endpoint, to local: IPAddress?, by channel: any Channel) {
        receive(octets, from) { [weak self] answer in
            guard let self, let destination = try? SocketAddress(from) else { return }
            let envelope = AddressedEnvelope(remoteAddress: destination, data: ByteBuffer(bytes: answer))
            guard let local, let own = self.channel(of: local, answering: envelope) else {
                if local == nil { channel.writeAndFlush(envelope, promise: nil) }
                return
            }
            own.writeAndFlush(envelope, promise: nil)
        }
    }

    /// The socket of one of our addresses; nil while it is being opened: the answer follows then.
    private func channel(of local: IPAddress, answering envelope: AddressedEnvelope<ByteBuffer>) -> (any Channel)? {
        let (known, isNew) = state.withLock { state -> ((any Channel)?, Bool) in
            if let channel = state.byAddress[local] { return (channel, false) }
            guard !state.isClosed, !state.opening.contains(local), state.byAddress.count + state.opening.count < Self.mostAddresses else {
                return (nil, false)
            }
            state.opening.insert(local)
            return (nil, true)
        }
        guard isNew else { return known }
        Task {
            guard let address = try? SocketAddress(Endpoint(local, port: self.port)), let channel = try? await self.bind(address) else {
                self.state.withLock { _ = $0.opening.remove(local) }
                return
            }
            let isLate = self.state.withLock { state in
                state.opening.remove(local)
                if !state.isClosed { state.byAddress[local] = channel }
                return state.isClosed
            }
            if isLate {
                channel.close(promise: nil)
            } else {
                // A send that the kernel refuses closes it: the next answer has another
                channel.closeFuture.whenComplete { [weak self] _ in
                    self?.state.withLock { if $0.byAddress[local] === channel { $0.byAddress[local] = nil } }
                }
                channel.writeAndFlush(envelope, promise: nil)
            }
        }
        return nil
    }
}
