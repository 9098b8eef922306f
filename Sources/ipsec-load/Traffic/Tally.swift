import Wire

/// Which packets of one numbered stream came: none twice, and which of them late.
struct Arrivals {
    /// Packets behind the newest whose coming is remembered.
    static let window = 1024

    private(set) var received = 0
    private(set) var duplicated = 0
    /// Came after one with a higher number; also what is too far behind to be known as a duplicate.
    private(set) var reordered = 0
    /// The number that is expected next.
    private var next: UInt64 = 0
    private var seen = [UInt64](repeating: 0, count: Arrivals.window / 64)

    mutating func note(_ number: UInt32) {
        let sequence = UInt64(number)
        if sequence >= next {
            let skipped = sequence - next
            if skipped >= UInt64(Self.window) {
                for index in seen.indices { seen[index] = 0 }
            } else {
                for passed in next..<sequence { clear(passed) }
            }
            set(sequence)
            next = sequence + 1
            received += 1
            return
        }
        guard next - sequence <= UInt64(Self.window) else {
            reordered += 1
            received += 1
            return
        }
        guard !has(sequence) else {
            duplicated += 1
            return
        }
        set(sequence)
        reordered += 1
        received += 1
    }

    private func place(_ sequence: UInt64) -> (Int, UInt64) {
        let bit = Int(sequence % UInt64(Self.window))
        return (bit / 64, 1 << UInt64(bit % 64))
    }

    private func has(_ sequence: UInt64) -> Bool {
        let (word, bit) = place(sequence)
        return seen[word] & bit != 0
    }

    private mutating func set(_ sequence: UInt64) {
        let (word, bit) = place(sequence)
        seen[word] |= bit
    }

    private mutating func clear(_ sequence: UInt64) {
        let (word, bit) = place(sequence)
        seen[word] &= ~bit
    }
}

/// Latencies in classes an eighth of an octave wide: 4 us to 17 s in 176 counts.
struct LatencyClasses: Equatable {
    static let count = 176
    private(set) var counts = [UInt32](repeating: 0, count: LatencyClasses.count)

    mutating func note(nanoseconds: UInt64) {
        counts[Self.place(nanoseconds)] &+= 1
    }

    static func place(_ nanoseconds: UInt64) -> Int {
        let value = min(max(nanoseconds, 4096), 1 << 34 - 1)
        let octave = 63 - value.leadingZeroBitCount
        return min((octave - 12) * 8 + Int(value >> UInt64(octave - 3) & 7), count - 1)
    }

    /// Microseconds below which the share of packets lies, at the upper end of its class; nil without any.
    func percentile(_ share: Double) -> Double? {
        let total = counts.reduce(0) { $0 + Int($1) }
        guard total > 0 else { return nil }
        var left = Int((share * Double(total)).rounded(.up))
        for (index, count) in counts.enumerated() {
            left -= Int(count)
            if left <= 0 {
                let (octave, eighth) = (index / 8 + 12, index % 8)
                return Double((9 + eighth) << (octave - 3)) / 1000
            }
        }
        return nil
    }

    mutating func add(_ other: LatencyClasses) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
    }

    /// Those that are not empty.
    func encode(into content: inout [UInt8]) {
        for (index, count) in counts.enumerated() where count > 0 {
            content.append(UInt8(index))
            content.append(bigEndian: count)
        }
    }

    init() {}

    /// Nil for what `encode` does not write.
    init?(_ content: ArraySlice<UInt8>) {
        guard content.count.isMultiple(of: 5) else { return nil }
        for start in stride(from: content.startIndex, to: content.endIndex, by: 5) {
            guard Int(content[start]) < Self.count else { return nil }
            counts[Int(content[start])] = content[start + 1..<start + 5].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }
}

/// What came of one direction of a run, or was sent.
struct DirectionTally: Equatable {
    var sent = 0
    var received = 0
    var duplicated = 0
    var reordered = 0
    /// Content or length is not what was sent.
    var corrupted = 0
    /// Octets of inner packets that came, intact and for the first time.
    var octets = 0
    var latencies = LatencyClasses()

    /// Packets that were sent and never came; what came corrupted is not among them.
    var lost: Int { max(0, sent - received - corrupted) }

    func encode() -> [UInt8] {
        var content: [UInt8] = []
        for number in [sent, received, duplicated, reordered, corrupted, octets] { content.append(bigEndian: UInt64(clamping: number)) }
        latencies.encode(into: &content)
        return content
    }

    init() {}

    init?(_ content: ArraySlice<UInt8>) {
        guard content.count >= 48, let latencies = LatencyClasses(content.dropFirst(48)) else { return nil }
        func number(_ index: Int) -> Int {
            let start = content.startIndex + 8 * index
            return Int(clamping: content[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        (sent, received, duplicated, reordered, corrupted, octets) = (number(0), number(1), number(2), number(3), number(4), number(5))
        self.latencies = latencies
    }

    /// Takes a stream's packet into account.
    mutating func note(_ probe: Probe, isIntact: Bool, octets size: Int, arrivals: inout Arrivals, at now: Instant, sameClock: Bool) {
        guard isIntact else {
            corrupted += 1
            return
        }
        let before = (arrivals.received, arrivals.duplicated, arrivals.reordered)
        arrivals.note(probe.sequence)
        duplicated += arrivals.duplicated - before.1
        reordered += arrivals.reordered - before.2
        guard arrivals.received > before.0 else { return }
        received += 1
        octets += size
        if sameClock, now.nanoseconds >= probe.sent { latencies.note(nanoseconds: now.nanoseconds - probe.sent) }
    }
}
