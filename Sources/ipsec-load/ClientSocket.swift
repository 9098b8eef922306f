import LinuxIO
import RoadWarrior
import Wire

/// One client's UDP socket, for both of the gateway's ports; its source port is the kernel's choice.
struct ClientSocket: ~Copyable {
    var port: UDPPort
    /// For ESP without UDP.
    private(set) var esp: ESPSocket?

    init(family: AddressFamily, packetsPerCall: Int, buffer: Int) throws(SystemError) {
        let port = try Self.port(IPAddress(family: family, value: 0), packetsPerCall, buffer)
        self.port = port
        esp = nil
    }

    /// Bound to the address that the gateway sees, for the NAT_DETECTION payloads to be true; with a socket for native ESP where it is asked for.
    init(toward gateway: IPAddress, packetsPerCall: Int, buffer: Int, carriesESP: Bool) throws(SystemError) {
        let local = try ESPSocket.localAddress(toward: gateway)
        let esp = carriesESP ? try ESPSocket(local: local, remote: gateway, buffer: buffer) : nil
        let port = try Self.port(local, packetsPerCall, buffer)
        self.port = port
        self.esp = esp
    }

    private static func port(_ local: IPAddress, _ packetsPerCall: Int, _ buffer: Int) throws(SystemError) -> UDPPort {
        var options = UDPOptions()
        options.packetsPerCall = packetsPerCall
        options.receiveBuffer = buffer
        options.sendBuffer = buffer
        return try UDPPort(Endpoint(local, port: 0), options: options)
    }

    /// Sends what the client wants sent. What the kernel does not take is lost on the way, as on any way.
    mutating func send(_ datagram: RoadWarrior.Datagram) {
        if datagram.isNativeESP {
            esp?.send(datagram.octets)
        } else {
            _ = port.send(datagram.payload, to: datagram.remote)
        }
    }
}

extension RoadWarrior.Datagram {
    /// IP protocol 50, not UDP.
    var isNativeESP: Bool { content == .esp && !encapsulated }
}
