internal import LinuxIO

/// Which entry of a batch the next packet to a client may be added to, so that the kernel takes many at once (`UDP_SEGMENT`). A client whose place
/// another one took begins a new entry: its packets never overtake each other.
struct DepartureRuns {
    private var tunnels = InlineArray<16, Int>(repeating: -1)
    private var places = InlineArray<16, Int>(repeating: -1)

    /// What one UDP datagram holds over either family, and what the kernel cuts it into (`UDP_MAX_SEGMENTS`).
    private static var mostOctets: Int { @_noLocks get { 65_000 } }
    private static var mostPackets: Int { @_noLocks get { 64 } }

    @_noLocks
    init() {}

    /// The open entry of a tunnel; below 0: none.
    @_noLocks
    func place(_ tunnel: Int) -> Int {
        tunnels[tunnel & 15] == tunnel ? places[tunnel & 15] : -1
    }

    @_noLocks
    mutating func begin(_ tunnel: Int, at place: Int) {
        tunnels[tunnel & 15] = tunnel
        places[tunnel & 15] = place
    }

    @_noLocks
    mutating func end(_ tunnel: Int) {
        if tunnels[tunnel & 15] == tunnel { tunnels[tunnel & 15] = -1 }
    }

    mutating func removeAll() {
        self = DepartureRuns()
    }

    /// Whether the entry can take so many octets more.
    @_noLocks
    static func hasRoom(_ entry: Batch.Entry, _ octets: Int) -> Bool {
        entry.length &+ octets <= mostOctets && entry.packetCount < mostPackets
    }
}
