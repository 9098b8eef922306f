import Foundation

/// A Disconnect- or CoA-Request as octets: what radclient would send, to be sent as often, from where and as damaged as a test wants.
extension FreeRADIUS {
    /// The datagram that radclient makes of these attributes; it is caught on this machine and goes nowhere.
    package func compose(_ kind: DynamicRequest, _ attributes: [String], secret: String? = nil) async throws -> [UInt8] {
        let catcher = try await namespace.onThread { try UDPSocket(address: "127.0.0.1", port: 0) }
        async let sent = request(kind, attributes, to: "127.0.0.1", port: catcher.port, from: "127.0.0.1", secret: secret, timeout: 1)
        let caught = await eventually(within: .seconds(5), every: .milliseconds(5)) { catcher.receive()?.0 }
        _ = try await sent
        guard let caught else { throw LabError("radclient sent nothing") }
        return caught
    }
}

/// A UDP socket of a namespace that asks and waits for the answer.
package final class DatagramPeer: Sendable {
    private let socket: UDPSocket

    /// - Parameter address: IPv4, of the namespace.
    package init(in namespace: Namespace, address: String, port: UInt16) async throws {
        socket = try await namespace.onThread { try UDPSocket(address: address, port: port) }
    }

    /// The next datagram after this one was sent; nil when none comes in time.
    package func ask(_ octets: [UInt8], to address: String, port: UInt16, within limit: Duration = .seconds(2)) async -> [UInt8]? {
        UDPSocket.send(octets, socket.descriptor, sockaddr_in(address, port))
        return await eventually(within: limit, every: .milliseconds(5)) { self.socket.receive()?.0 }
    }
}
