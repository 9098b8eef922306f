import Foundation
import Synchronization

/// UDP from a namespace to an address where nobody listens, 1300 octets each, as fast as is asked: the kernel cuts them, so that they cost the sender little.
package final class DatagramFlood: Sendable {
    private let state = Mutex((rate: 0, sent: 0, isStopped: false))
    private static let size = 1300
    private static let count = 48

    /// Octets a second.
    package var rate: Int {
        get { state.withLock { $0.rate } }
        set { state.withLock { $0.rate = newValue } }
    }

    /// Datagrams sent so far.
    package var sent: Int { state.withLock { $0.sent } }

    package static func start(from namespace: Namespace, to address: String, rate: Int) async throws -> DatagramFlood {
        let flood = DatagramFlood()
        flood.rate = rate
        let socket = try await namespace.onThread { try UDPSocket(sockaddr_in("0.0.0.0", 0)) }
        var segment = Int32(size)
        // SOL_UDP, UDP_SEGMENT
        guard setsockopt(socket.descriptor, 17, 103, &segment, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw LabError("UDP_SEGMENT: \(String(cString: strerror(errno)))")
        }
        Scenario.current?.atEnd { flood.stop() }
        Thread { flood.run(socket, sockaddr_in(address, 9)) }.start()
        return flood
    }

    package func stop() { state.withLock { $0.isStopped = true } }

    private func run(_ socket: UDPSocket, _ destination: sockaddr_in) {
        let octets = [UInt8](repeating: 0x5a, count: Self.size * Self.count)
        var due = ContinuousClock.now
        while true {
            let (rate, isStopped) = state.withLock { ($0.rate, $0.isStopped) }
            if isStopped { return }
            due += .nanoseconds(octets.count * 1_000_000_000 / max(rate, 1))
            // What cannot be sent in time is left out
            let now = ContinuousClock.now
            if due < now - .milliseconds(50) { due = now }
            if due > now { usleep(UInt32(min((due - now) / .microseconds(1), 100_000))) }
            UDPSocket.send(octets, socket.descriptor, destination)
            state.withLock { $0.sent += Self.count }
        }
    }
}
