import Foundation
import Wire

/// What a client asks of the other end when a run starts: packets at a rate, for as long as it says so again.
struct Lease: Equatable {
    /// Between two packets; 0: none are wanted, only what comes is counted.
    let interval: UInt64
    let sizes: [Int]
    /// The asking machine's boot: clocks are compared on one machine alone.
    let boot: UInt64

    /// How long a lease lasts without being asked for again.
    static let length = Duration.seconds(12)
    /// How often it is asked for again.
    static let renewal = Duration.seconds(4)
    /// No client gets more packets a second than this.
    static let shortest: UInt64 = 1000

    init(interval: UInt64, sizes: [Int], boot: UInt64) {
        self.interval = interval
        self.sizes = sizes
        self.boot = boot
    }

    func encode() -> [UInt8] {
        var content: [UInt8] = []
        content.append(bigEndian: boot)
        content.append(bigEndian: interval)
        for size in sizes { content.append(bigEndian: UInt16(clamping: size)) }
        return content
    }

    /// Nil for what nobody may ask.
    init?(_ content: ArraySlice<UInt8>) {
        guard (18...48).contains(content.count), content.count.isMultiple(of: 2) else { return nil }
        func number(_ at: Int, _ count: Int) -> UInt64 {
            content[content.startIndex + at..<content.startIndex + at + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        boot = number(0, 8)
        interval = number(8, 8)
        sizes = stride(from: 16, to: content.count, by: 2).map { Int(number($0, 2)) }
        guard interval == 0 || interval >= Self.shortest, sizes.allSatisfy({ $0 >= Probe.headerLength && $0 <= Probe.longest }) else { return nil }
    }

    /// This machine since it was started; the same in all its namespaces.
    static let ownBoot: UInt64 = {
        let text = FileManager.default.contents(atPath: "/proc/sys/kernel/random/boot_id").map { String(decoding: $0, as: UTF8.self) } ?? ""
        return UInt64(text.filter(\.isHexDigit).prefix(16), radix: 16) ?? 0
    }()
}
