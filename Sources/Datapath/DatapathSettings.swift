package import GatewayCrypto
package import LinuxIO
package import Wire

extension Datapath {
    /// What the datapath is built from; it does not change while it runs.
    package struct Settings: Sendable {
        /// Worker threads, 1 to 64.
        package var workers: Int
        /// Private interfaces: one TUN device each.
        package var interfaces: [InterfaceSettings]
        /// Addresses on which UDP 500 and 4500 are served.
        package var gateways: [GatewayListener]
        /// Sessions and Child SAs that one worker may hold (threats.md: every table has a cap).
        package var tunnelsPerWorker = 16_384
        package var childSAsPerWorker = 65_536
        /// Packets that one pass of a thread takes from a port.
        package var batchSize = 64
        /// Octets in each ring between two threads.
        package var ringSize = 1 << 19
        /// Whether raw sockets are opened (CAP_NET_RAW): ESP without UDP, outer fragments of our own size (features.md DP-5), and what routers say of
        /// the outer path (threats.md P33).
        package var opensRawSockets = false
        /// Whether outer packets that came in fragments are taken (DP-6).
        package var reassembles = true
        /// Whether this machine masquerades clients, who must then keep off ports 500 and 4500 (threats.md C14).
        package var reservesListenerPorts = false
        /// Who does the cryptography of ESP.
        package var engine = CryptoEngine.preferred
        /// How long a worker looks for more after packets that came within so long of each other; zero: it sleeps at once.
        package var busyPoll = Duration.zero
        /// What is asked of the TUN devices; what the kernel lacks is done without.
        package var offloads = SegmentOffloads.all
        /// Whether many ESP packets are one datagram to the kernel, both ways (`UDP_SEGMENT`, `UDP_GRO`).
        package var joinsDatagrams = true
        /// Whether threads are bound to cores: the door to core 0, worker i to core (i + 1) modulo the cores there are.
        package var pinsThreads = true

        package init(workers: Int, interfaces: [InterfaceSettings], gateways: [GatewayListener]) {
            self.workers = workers
            self.interfaces = interfaces
            self.gateways = gateways
        }

        /// Asks for these offloads and no others.
        package mutating func ask(for wanted: Offloads) {
            offloads = wanted == .all || wanted == .tun ? .all : .none
            joinsDatagrams = wanted == .all || wanted == .udp
        }
    }

    /// Which offloads are asked for, in a word: all, unless a test or a measurement is about the others.
    package enum Offloads: String, Sendable, CaseIterable {
        case none
        /// Those of the TUN device.
        case tun
        /// Those of the sockets.
        case udp
        case all
    }
}

/// A private interface: where decrypted traffic comes out (configuration `service.interface`).
package struct InterfaceSettings: Sendable, Hashable {
    /// The device's name, at most 15 characters; unique in its namespace.
    package var name: String
    /// What `TunnelSpec.interface` calls it; the device's name unless another is given.
    package var key: String
    /// Our addresses on it, with the length of the private prefix.
    package var addresses: [PrivateAddress]
    /// The namespace that the device is put into; nil: the daemon's.
    package var networkNamespace: String?
    /// Further prefixes that lead to sessions.
    package var routes: [IPPrefix]
    /// The device's MTU; the sessions' own are `TunnelSettings.ipMTU`.
    package var mtu = 9000

    package init(name: String, addresses: [PrivateAddress], networkNamespace: String? = nil, routes: [IPPrefix] = []) {
        self.name = name
        key = name
        self.addresses = addresses
        self.networkNamespace = networkNamespace
        self.routes = routes
    }
}

/// An address of ours and the length of its prefix, such as 10.99.0.1/24: an `IPPrefix` would have lost the host part.
package struct PrivateAddress: Sendable, Hashable {
    package let address: IPAddress
    package let prefixLength: Int

    /// Nil when the family has no such length.
    package init?(_ address: IPAddress, prefixLength: Int) {
        guard (0...address.family.bits).contains(prefixLength) else { return nil }
        self.address = address
        self.prefixLength = prefixLength
    }
}

/// An address that clients connect to; or, of a client, the one that it connects from.
package struct GatewayListener: Sendable, Hashable {
    package let address: IPAddress
    /// 0: the kernel's choice, which `Datapath.gateways` tells.
    package var ikePort: UInt16 = 500
    package var natTraversalPort: UInt16 = 4500
    /// Largest outer packet with IKE in it, octets; nil: the outer path's (DP-5). ESP has its tunnel's own.
    package var encapsulatedMTU: Int?

    package init(address: IPAddress) {
        self.address = address
    }
}

/// What can go wrong with the datapath; packets are `Drop`s instead.
package enum DatapathError: Error, Equatable, Sendable {
    /// A device, socket, thread or route could not be had; the text says which and what to do.
    case system(String)
    /// A setting that makes no datapath.
    case settings(String)
    /// The tunnel is not there, or not any more.
    case noSuchTunnel
    /// The SPI was not allocated here, or has an SA already.
    case noSuchSPI
    /// The tunnel holds its eight Child SAs.
    case tooManyChildSAs
    /// The worker that the SPI names has no place for a further session.
    case noRoom
    /// The keys do not fit the suite.
    case keys
    /// The datapath is stopping.
    case stopped
}
