import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

@testable import Gateway

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

/// What a socket received, awaited.
private final class Received: Sendable {
    private let stream: AsyncStream<[UInt8]>
    private let continuation: AsyncStream<[UInt8]>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func take(_ octets: [UInt8]) { continuation.yield(octets) }

    /// nil after `seconds` without one.
    func next(within seconds: Int = 5) async -> [UInt8]? {
        let end = Task {
            try? await Task.sleep(for: .seconds(seconds))
            if !Task.isCancelled { continuation.finish() }
        }
        defer { end.cancel() }
        for await octets in stream { return octets }
        return nil
    }
}

@Suite("UDP sockets of the control plane")
struct ControlSocketsTests {
    /// A port that nobody has; taken from the kernel's own choice.
    private static func freePort() async throws -> UInt16 {
        let channel = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup).bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return UInt16(port)
    }

    /// A connected socket drops what comes from any other address: so an answer that arrives left from the address that was asked.
    @Test(arguments: ["127.0.0.1", "127.0.0.2", "127.9.8.7", "::1"])
    func RAD9_answersLeaveFromTheAddressThatWasAsked(_ text: String) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let port = try await Self.freePort()
        let server = AnsweringSockets(port: port, group: group) { octets, from, answer in
            #expect(from.address.isLoopback)
            answer(octets.reversed())
        }
        try await server.open()
        defer { server.close() }
        let received = Received()
        let client = try await DatagramSocket.connect(
            to: Endpoint(try address(text), port: port), group: group, receive: { received.take($0) })
        defer { client.close() }
        for number in 1...5 as ClosedRange<UInt8> {
            client.send([number, 1, 2])
            #expect(await received.next() == [2, 1, number])
        }
    }

    /// The kernel's report of the first datagram is met by a later one, at the latest.
    @Test func P19_aPortThatNobodyListensOnClosesTheSocket() async throws {
        let port = try await Self.freePort()
        let closed = Received()
        let client = try await DatagramSocket.connect(
            to: Endpoint(try address("127.0.0.1"), port: port), group: MultiThreadedEventLoopGroup.singleton, receive: { _ in })
        client.whenClosed { closed.take([1]) }
        #expect(client.isOpen)
        for _ in 0..<100 where client.isOpen { client.send([1]) }
        #expect(await closed.next() == [1])
        #expect(!client.isOpen)
    }
}
