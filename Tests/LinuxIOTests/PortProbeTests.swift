import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxIO

@Suite struct PortProbeTests {
    @Test(arguments: AddressFamily.allCases)
    func aHeldPortNamesItsHolder(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let local = Endpoint(loopback(family), port: 4500)
            let free = try PortProbe.holder(of: local)
            #expect(free == nil)
            do {
                // a reuseport group is seen too: that is what a second gateway would join
                let group = try SteeredPorts(local, workers: 2)
                let holder = try PortProbe.holder(of: local)
                #expect(holder?.bound == local && holder?.processes.map(\.pid) == [getpid()])
                #expect(group.workers == 2)
                if let holder {
                    let text = PortProbe.error(local, heldBy: holder).description
                    #expect(text.contains("process \(getpid()) (") && text.contains("holds the port; stop it"))
                }
                let other = try PortProbe.holder(of: Endpoint(loopback(family), port: 4501))
                #expect(other == nil)
            }
            let freed = try eventually { () throws(SystemError) in try PortProbe.holder(of: local) == nil }
            #expect(freed)
        }
    }

    /// charon binds the unspecified address, and IPv6's may hold IPv4's port.
    @Test(arguments: ["0.0.0.0", "::"])
    func anUnspecifiedAddressHoldsThePortOfAll(bound: String) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let everywhere = Endpoint(IPAddress(bound)!, port: 500)
            let raw = try FileDescriptor(socket(everywhere.address.family == .ipv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue), 0), "socket")
            let result = SocketAddress.with(everywhere) { address, length in gw_bind(raw.rawValue, address, length) }
            #expect(result == 0)
            let holder = try PortProbe.holder(of: Endpoint(loopback(.ipv4), port: 500))
            // a process that another test starts meanwhile inherits the socket, and holds it too
            #expect(holder?.bound == everywhere && holder?.processes.contains { $0.pid == getpid() } == true)
            // and asked the other way round
            let asked = try PortProbe.holder(of: everywhere.address.family == .ipv4 ? everywhere : Endpoint(loopback(.ipv6), port: 500))
            #expect(asked?.bound == everywhere)
        }
    }

    @Test func anotherProcessIsNamed() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let ready = temporaryFolder + "/ipsecgw-probe-\(getpid())"
            let pid = try shell(
                """
                rm -f \(ready)
                perl -MSocket -e 'socket(S,PF_INET,SOCK_DGRAM,0); bind(S,sockaddr_in(4500,INADDR_LOOPBACK)); open(F,">","\(ready)"); close(F); sleep 20' \
                >/dev/null 2>&1 </dev/null & echo $!
                """)
            let number = Int32(pid.filter(\.isNumber)) ?? -1
            defer {
                kill(number, SIGKILL)
                unlink(ready)
            }
            for _ in 0..<500 where access(ready, F_OK) != 0 { usleep(10_000) }
            let holder = try PortProbe.holder(of: Endpoint(loopback(.ipv4), port: 4500))
            #expect(holder?.processes.contains { $0.pid == number && $0.command.hasPrefix("perl") } == true)
            #expect(holder?.description.contains("bound to 127.0.0.1:4500") == true)
        }
    }

    @Test func anAddressThatIsNotHereIsAnError() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let error = failure { () throws(SystemError) in _ = try PortProbe.holder(of: Endpoint(IPAddress("203.0.113.9")!, port: 500)) }
            #expect(error?.number == EADDRNOTAVAIL && error?.hint.contains("203.0.113.9") == true)
        }
    }

    @Test func rowsOfTheKernelsTableAreRead() throws {
        let row = " 1066: 0100007F:1194 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 00000000 0"
        let (endpoint, inode) = try #require(PortProbe.row(row, .ipv4))
        #expect(endpoint.description == "127.0.0.1:4500" && inode == 4242)
        let row6 = "  9: B80D0120000000000000000001000000:01F4 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 77 2 0 0"
        let (endpoint6, inode6) = try #require(PortProbe.row(row6, .ipv6))
        #expect(endpoint6.description == "[2001:db8::1]:500" && inode6 == 77)
        for bad in ["", "a b c", "1: 0100007F 0 0 0 0 0 0 0 1", "1: 0100007:1194 0 0 0 0 0 0 0 1", "1: 0100007F:11194 0 0 0 0 0 0 0 1"] {
            #expect(PortProbe.row(bad, .ipv4) == nil)
        }
    }
}
