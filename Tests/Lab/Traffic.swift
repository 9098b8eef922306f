import Foundation
import Synchronization

/// ICMP echo from a namespace.
package struct Ping: Sendable {
    package enum Fragmentation: String, Sendable {
        /// DF set; the sender's own stack may not fragment either.
        case forbidden = "do"
        /// DF clear.
        case allowed = "dont"
    }

    /// Requests that were asked for, and how many of these were answered, however late.
    package let sent: Int
    package let received: Int
    /// Of those answered, from the shortest on.
    package let times: [Duration]
    package let output: String

    /// Each request may take two seconds: with a deadline ping goes on asking until it has its answers, without one it leaves off one interval after
    /// the last request, which a busy machine takes for a loss. Requests beyond `count` do not count.
    ///
    /// - Parameters:
    ///   - size: octets of the whole IP packet (at least 28, or 48 with IPv6).
    ///   - every: from one request to the next.
    package static func run(
        from namespace: Namespace, to address: String, count: Int = 3, size: Int = 84, fragmentation: Fragmentation = .allowed, source: String? = nil,
        every interval: Duration = .milliseconds(100)
    ) async throws -> Ping {
        let own = source.map { "-I \($0) " } ?? ""
        let seconds = interval / .seconds(1)
        // Who asks faster than this may be slower than he wants to be
        let deadline = Int((Double(count) * max(seconds, 0.03)).rounded(.up)) + 2
        let result = try await namespace.run(
            "/usr/bin/ping -n -i \(seconds) -w \(deadline) -c \(count) -s \(size - (address.contains(":") ? 48 : 28)) "
                + "-M \(fragmentation.rawValue) \(own)\(address)", timeout: .seconds(deadline + 20))
        let times = result.output.matches(of: /time=([0-9.]+) ms/).compactMap { Double($0.1) }.sorted().map { Duration.microseconds($0 * 1000) }
        let answered = result.output.split(separator: "\n").filter { $0.contains(" bytes from ") }.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("icmp_seq=") }.flatMap { Int($0.dropFirst(9)) }
        }
        return Ping(sent: count, received: Set(answered).filter { (1...count).contains($0) }.count, times: times, output: result.output)
    }

    /// Whether any answer came.
    package var isAnswered: Bool { received > 0 }
    /// Whether every answer came.
    package var isComplete: Bool { sent > 0 && received == sent }
}

/// Octets over TCP between two namespaces, each compared on arrival with what was sent.
package final class TCPTransfer: Sendable {
    /// What arrived.
    package struct Outcome: Sendable, Equatable {
        package var octets: Int
        package var isIntact: Bool
        package init(octets: Int, isIntact: Bool) { (self.octets, self.isIntact) = (octets, isIntact) }
    }

    private let state = Mutex((octets: 0, isIntact: true, isStopped: false, outcome: Result<Outcome, LabError>?.none))
    private static let blockSize = 65_536

    /// Octets that have arrived so far.
    package var progress: Int { state.withLock { $0.octets } }

    /// Sends `octets` from one namespace to a listener in the other and waits for the end.
    package static func run(
        from sender: Namespace, to receiver: Namespace, at address: String, octets: Int, seed: UInt64 = 1, timeout: Duration = .seconds(60)
    ) async throws -> Outcome {
        let transfer = try await start(from: sender, to: receiver, at: address, octets: octets, seed: seed)
        return try await transfer.outcome(timeout: timeout)
    }

    /// Begins to send; without `octets` it goes on until `finish`.
    package static func start(
        from sender: Namespace, to receiver: Namespace, at address: String, octets: Int? = nil, seed: UInt64 = 1, bytesPerSecond: Int? = nil
    ) async throws -> TCPTransfer {
        let transfer = TCPTransfer()
        let listener = try await receiver.onThread { try StreamSocket.listening(at: address) }
        let outgoing = try await sender.onThread { try StreamSocket(for: address) }
        Scenario.current?.atEnd {
            transfer.state.withLock { $0.isStopped = true }
            listener.shut()
            outgoing.shut()
        }
        Thread { transfer.receive(listener, seed: seed) }.start()
        let destination = SocketName(address, listener.port)
        Thread { transfer.send(outgoing, destination, octets: octets, seed: seed, bytesPerSecond: bytesPerSecond) }.start()
        return transfer
    }

    /// Ends a transfer that has no length, and waits for the last octet.
    package func finish(timeout: Duration = .seconds(30)) async throws -> Outcome {
        state.withLock { $0.isStopped = true }
        return try await outcome(timeout: timeout)
    }

    package func outcome(timeout: Duration) async throws -> Outcome {
        let result = await eventually(within: timeout, every: .milliseconds(10)) { self.state.withLock { $0.outcome } }
        guard let result else { throw LabError("the transfer did not end within \(timeout); \(progress) octets had arrived") }
        return try result.get()
    }

    /// The octets at a place of the stream: seeded noise with the block's number in front.
    private static func block(_ template: [UInt8], _ number: Int) -> [UInt8] {
        var block = template
        withUnsafeBytes(of: UInt64(number)) { block.replaceSubrange(0..<8, with: $0) }
        return block
    }

    private static func template(_ seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return (0..<blockSize / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
    }

    private func send(_ socket: StreamSocket, _ destination: SocketName, octets: Int?, seed: UInt64, bytesPerSecond: Int?) {
        guard socket.connect(destination) else { return fail("cannot connect: \(String(cString: strerror(errno)))") }
        let template = Self.template(seed)
        var sent = 0
        var number = 0
        while !state.withLock({ $0.isStopped }), octets.map({ sent < $0 }) ?? true {
            let block = Self.block(template, number)
            let part = octets.map { min(block.count, $0 - sent) } ?? block.count
            guard socket.send(block.prefix(part)) else { return fail("send: \(String(cString: strerror(errno)))") }
            sent += part
            number += 1
            if let bytesPerSecond { usleep(UInt32(part * 1_000_000 / bytesPerSecond)) }
        }
        socket.shutWriting()
    }

    private func receive(_ listener: StreamSocket, seed: UInt64) {
        guard let socket = listener.accept() else { return fail("nobody connected") }
        let template = Self.template(seed)
        var expected = Self.block(template, 0)
        var (total, isIntact) = (0, true)
        while true {
            guard let got = socket.receive(Self.blockSize - total % Self.blockSize) else {
                return fail("receive after \(total) octets: \(String(cString: strerror(errno)))")
            }
            if got.isEmpty { break }
            let place = total % Self.blockSize
            if !expected[place..<place + got.count].elementsEqual(got) { isIntact = false }
            total += got.count
            if total % Self.blockSize == 0 { expected = Self.block(template, total / Self.blockSize) }
            state.withLock { $0.octets = total }
        }
        state.withLock { $0.outcome = $0.outcome ?? .success(Outcome(octets: total, isIntact: isIntact)) }
    }

    private func fail(_ reason: String) {
        state.withLock { $0.outcome = $0.outcome ?? .failure(LabError("TCP transfer: \(reason)")) }
    }
}
