package import Wire

/// One session on its home worker: its inner addresses, its peer, its Child SAs.
@safe
package struct Tunnel: ~Copyable, @unchecked Sendable {
    /// Child SAs that a session may hold: eight (threats.md P22), and what takes their places while they are replaced.
    package static var maximumChildSAs: Int { @_noLocks get { 16 } }

    /// The private interface, as a number of the datapath's.
    package let interface: Int
    package let settings: TunnelSettings
    /// Which session of those that have had this place.
    package let generation: UInt32
    /// Where ESP goes, and from which of our addresses.
    package internal(set) var peer: Endpoint
    package internal(set) var local: Endpoint
    var limitIPv4 = RateLimit()
    var limitIPv6 = RateLimit()
    /// The way to `peer`; forgotten when that changes.
    var path = OuterPath()

    // What the client may send from (threats.md P29)
    private let sources: UnsafeMutablePointer<AddressRange>
    private let sourceCount: Int
    // SAD slots, oldest first
    private var children = InlineArray<16, Int>(repeating: 0)
    package private(set) var childCount = 0
    // The last of them, which nearly every packet takes; of the row a copy would be made
    private(set) var newestChild = -1

    package init(
        interface: Int, generation: UInt32, settings: TunnelSettings, sources: [AddressRange], peer: Endpoint, local: Endpoint
    ) {
        self.interface = interface
        self.generation = generation
        self.settings = settings
        self.peer = peer
        self.local = local
        sourceCount = sources.count
        unsafe self.sources = .allocate(capacity: max(sources.count, 1))
        for (index, range) in sources.enumerated() { unsafe (self.sources + index).initialize(to: range) }
    }

    deinit {
        unsafe sources.deinitialize(count: sourceCount)
        unsafe sources.deallocate()
    }

    /// Whether the client may send from this address.
    @_noLocks
    func owns(_ address: UInt128, isIPv6: Bool) -> Bool {
        var index = 0
        while index < sourceCount {
            let range = unsafe sources + index
            if unsafe range.pointee.begin.value <= address, unsafe address <= range.pointee.end.value,
                unsafe range.pointee.begin.isIPv6 == isIPv6
            {
                return true
            }
            index &+= 1
        }
        return false
    }

    /// The SAD slot of a Child SA, counted from the oldest.
    @_noLocks
    func child(_ index: Int) -> Int {
        guard index >= 0, index < childCount else { return -1 }
        return index == childCount &- 1 ? newestChild : children[index]
    }

    mutating func add(child slot: Int) -> Bool {
        guard childCount < Self.maximumChildSAs else { return false }
        children[childCount] = slot
        childCount += 1
        newestChild = slot
        return true
    }

    mutating func remove(child slot: Int) {
        guard let place = (0..<childCount).first(where: { children[$0] == slot }) else { return }
        for index in place..<childCount - 1 { children[index] = children[index + 1] }
        childCount -= 1
        newestChild = childCount > 0 ? children[childCount - 1] : -1
    }

    @_noLocks
    func isPeer(_ endpoint: Endpoint) -> Bool {
        peer.port == endpoint.port && peer.address.value == endpoint.address.value && peer.address.isIPv6 == endpoint.address.isIPv6
    }
}

extension IPAddress {
    /// For the packet path, where `==` of an enum of another module may not be called.
    package var isIPv6: Bool {
        @_noLocks get {
            switch family {
            case .ipv4: false
            case .ipv6: true
            }
        }
    }
}
