internal import CLinux
internal import Glibc
package import Wire

extension IPAddress {
    /// Our own address on the way to this one, as the routes of the calling thread's namespace have it.
    package func ownAddressTowardIt() throws(SystemError) -> IPAddress {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = try FileDescriptor(Glibc.socket(SocketAddress.domain(family), type, Int32(IPPROTO_UDP)), "socket", "\(self)")
        // Connecting sends nothing; any port will do
        let connected = unsafe SocketAddress.with(Endpoint(self, port: 500)) { address, length in
            unsafe gw_connect(socket.rawValue, address, length)
        }
        guard connected == 0 else { throw .last("connect", "\(self)", hint: "is there a route to the gateway?") }
        guard let own = UDPSocket.local(socket.rawValue) else { throw .last("getsockname", "\(self)") }
        return own.address
    }
}
