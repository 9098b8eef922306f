internal import LinuxIO

/// Which entry of a batch the next packet to a client may be added to, so that the kernel takes many at once (`UDP_SEGMENT`). A client whose place
/// another one took begins a new entry: its packets never overtake each other.
@safe
struct DepartureRuns: ~Copyable, @unchecked Sendable {
    private struct Row {
        var tunnel = -1
        var place = -1
    }

    // By the low bits of the tunnel's number
    private let rows: UnsafeMutablePointer<Row>
    private static var count: Int { @_noLocks get { 16 } }

    /// What one UDP datagram holds over either family, and what the kernel cuts it into (`UDP_MAX_SEGMENTS`).
    private static var mostOctets: Int { @_noLocks get { 65_000 } }
    private static var mostPackets: Int { @_noLocks get { 64 } }

    init() {
        unsafe rows = .allocate(capacity: Self.count)
        unsafe rows.initialize(repeating: Row(), count: Self.count)
    }

    deinit { unsafe rows.deallocate() }

    @_noLocks
    private func row(_ tunnel: Int) -> UnsafeMutablePointer<Row> { unsafe rows + (tunnel & (Self.count &- 1)) }

    /// The open entry of a tunnel; below 0: none.
    @_noLocks
    func place(_ tunnel: Int) -> Int {
        unsafe row(tunnel).pointee.tunnel == tunnel ? row(tunnel).pointee.place : -1
    }

    @_noLocks
    mutating func begin(_ tunnel: Int, at place: Int) {
        unsafe row(tunnel).pointee = Row(tunnel: tunnel, place: place)
    }

    @_noLocks
    mutating func end(_ tunnel: Int) {
        if unsafe row(tunnel).pointee.tunnel == tunnel { unsafe row(tunnel).pointee.tunnel = -1 }
    }

    @_noLocks
    mutating func removeAll() {
        unsafe rows.update(repeating: Row(), count: Self.count)
    }

    /// Whether an entry of so many octets in packets of `size`, the last perhaps shorter, can take so many more.
    @_noLocks
    static func hasRoom(_ length: Int, inPacketsOf size: Int, for octets: Int) -> Bool {
        length &+ octets <= mostOctets && length <= (mostPackets &- 1) &* size
    }
}
