import LinuxIO
import RoadWarrior
import Wire

/// One client's UDP socket, for both of the gateway's ports; its source port is the kernel's choice.
struct ClientSocket: ~Copyable {
    var port: UDPPort

    init(local: IPAddress, packetsPerCall: Int, buffer: Int) throws(SystemError) {
        var options = UDPOptions()
        options.packetsPerCall = packetsPerCall
        options.receiveBuffer = buffer
        options.sendBuffer = buffer
        port = try UDPPort(Endpoint(local, port: 0), options: options)
    }

    /// Sends what the client wants sent. What the kernel does not take is lost on the way, as on any way.
    mutating func send(_ datagram: RoadWarrior.Datagram) {
        _ = port.send(datagram.payload, to: datagram.remote)
    }
}
