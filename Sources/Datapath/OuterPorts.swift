internal import ESP
internal import LinuxIO
package import Wire

/// What a thread's outer ports are, by number: first those that packets come in by, one for each of our ends, then those that take whole IP
/// packets (features.md DP-5).
package struct OuterPorts: Sendable {
    /// Our end of each port that is received from. Port 0: ESP without UDP.
    package var locals: [Endpoint]
    /// The numbers of the ports that take whole IP packets of a family; nil: none, so packets are left to the kernel to cut.
    package var wholeIPv4: Int?
    package var wholeIPv6: Int?
    /// The longest packet that asks the path, octets: what our own link takes.
    package var largestProbe = 1500
    /// The first of the ports that take routers' reports about our packets (threats.md P33), which stand behind the others in `locals`; nil: none.
    package var firstReport: Int?
    /// Whether this machine masquerades, so that clients must keep off our ports (threats.md C14).
    package var reservesListenerPorts = false
    /// Whether packets that came in fragments are taken (DP-6).
    package var reassembles = true

    package init(locals: [Endpoint]) {
        self.locals = locals
    }

    /// Ports that are polled: bit i is port i.
    package static let most = 32

    package func whole(_ family: AddressFamily) -> Int? { family == .ipv4 ? wholeIPv4 : wholeIPv6 }
}

extension Datapath.Settings {
    /// Worker `index`'s share of the ESP packets that a raw socket sees: its own, as long as the filters of all cost less than a ring does.
    func espShare(_ index: Int) -> DatagramPort.ESPShare {
        if workers == 1 { return .all }
        if workers <= 8 { return .worker(index) }
        return index == 0 ? .all : .none
    }
}
