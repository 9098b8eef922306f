import ESP
import PacketFixtures
import Testing

/// Runs a table of numbers through a window as the packet path does: asked, then recorded.
struct WindowScript: ~Copyable {
    var window: ReplayWindow
    mutating func take(_ sequence: UInt64) -> Bool {
        guard window.admits(sequence) else { return false }
        _ = window.record(sequence)
        return true
    }
}

@Suite struct ReplayWindowTests {
    /// A numbered table in the manner of WireGuard's counter self-test, for a window of `size`.
    @Test(arguments: [32, 64, 128, 256, 512, 1024, 2048])
    func threat_P26_table(size: Int) {
        let w = UInt64(size)
        var script = WindowScript(window: ReplayWindow(size: size))
        var row = 0
        func expect(_ sequence: UInt64, _ accepted: Bool) {
            row += 1
            let result = script.take(sequence)
            #expect(result == accepted, "row \(row): \(sequence)")
        }
        expect(0, false)
        expect(1, true)
        expect(1, false)
        expect(9, true)
        expect(8, true)
        expect(7, true)
        expect(7, false)
        expect(w, true)
        expect(w, false)
        expect(w - 1, true)
        expect(2, true)
        expect(2, false)
        expect(w + 16, true)
        expect(3, false)
        expect(16, false)
        expect(17, true)
        expect(17, false)
        expect(w * 4, true)
        expect(w * 4 - (w - 1), true)
        expect(w * 4 - w, false)
        expect(10, false)
        expect(w * 4 - 1, true)
        expect(w * 4 - 1, false)
        expect(1 << 40, true)
        expect(1 << 40, false)
        expect((1 << 40) - w + 1, true)
        expect((1 << 40) - w, false)
        expect(UInt64.max - 1, true)
        expect(UInt64.max, true)
        expect(UInt64.max, false)
        expect(UInt64.max - w + 1, true)
        expect(UInt64.max - w, false)
        expect(0, false)
    }

    @Test func threat_P26_admittingRecordsNothing() {
        var window = ReplayWindow(size: 64)
        let admitted = [window.admits(1000), window.admits(1000)]
        var highest = window.highest
        #expect(admitted == [true, true] && highest == 0)
        let isNewest = window.record(1000)
        let admitsAgain = window.admits(1000)
        #expect(isNewest && !admitsAgain)
        let isOlder = !window.record(990)
        highest = window.highest
        #expect(isOlder && highest == 1000)
    }

    @Test func sizesAreBroughtIntoRange() {
        #expect(ReplayWindow.size(1) == 32)
        #expect(ReplayWindow.size(1 << 20) == 2048)
        let sizes = [ReplayWindow(size: 1).size, ReplayWindow(size: 1 << 20).size]
        #expect(sizes == [32, 2048])
    }

    /// 10^5 random numbers against a set that remembers everything.
    @Test(arguments: [32, 64, 512, 2048])
    func threat_P26_randomAgainstReference(size: Int) {
        let seed = UInt64(size) &* 77 &+ 5
        print("ReplayWindow seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        var script = WindowScript(window: ReplayWindow(size: size))
        var seen: Set<UInt64> = []
        var highest: UInt64 = 0
        for _ in 0..<100_000 {
            let reach = UInt64(size) * 2
            var sequence: UInt64
            switch numbers.next() % 16 {
            case 0: sequence = highest &+ numbers.next() % (reach * 4)
            case 1...3: sequence = highest &+ 1
            default: sequence = highest &- min(highest, numbers.next() % reach)
            }
            if numbers.next() % 997 == 0 { sequence = 0 }
            let expected = sequence != 0 && (sequence > highest || (highest - sequence < UInt64(size) && !seen.contains(sequence)))
            let accepted = script.take(sequence)
            guard accepted == expected else {
                Issue.record("sequence \(sequence), highest \(highest), seed \(seed)")
                return
            }
            if accepted {
                seen.insert(sequence)
                highest = max(highest, sequence)
            }
        }
        let recent = (0..<UInt64(64)).reduce(UInt64(0)) { bits, back in
            back < highest && seen.contains(highest - back) && back < UInt64(size) ? bits | 1 << (63 - back) : bits
        }
        let mask: UInt64 = size >= 64 ? .max : ~0 << 32
        let found = script.window.recent
        #expect(found & mask == recent & mask)
    }

    // RFC 4303 appendix A2: (highest, low half, inferred)
    @Test(
        arguments: [
            (0, 1, 1), (100, 101, 101), (100, 50, 50), (5, 0xffff_ffff, nil),
            (0xffff_fff0, 0xffff_ffff, 0xffff_ffff), (0xffff_fff0, 0, 0x1_0000_0000), (0xffff_fff0, 5, 0x1_0000_0005),
            (0x1_0000_0005, 0xffff_fff0, 0xffff_fff0), (0x1_0000_0005, 4, 0x1_0000_0004), (0x1_0000_0005, 6, 0x1_0000_0006),
            (0x1_0000_1000, 0x0fc1, 0x1_0000_0fc1), (0x1_0000_1000, 0x0fc0, 0x2_0000_0fc0),
            (0xffff_ffff_ffff_ffff, 0, nil), (0xffff_ffff_ffff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff),
        ] as [(UInt64, UInt32, UInt64?)])
    func threat_P25_extendedNumbersAreInferred(highest: UInt64, low: UInt32, expected: UInt64?) {
        #expect(SequenceNumber.infer(low: low, highest: highest, window: 64) == expected)
    }

    /// Any number within reach of the window is inferred right.
    @Test func threat_P25_inferenceInReach() {
        var numbers = SeededNumbers(seed: 4303)
        for _ in 0..<100_000 {
            let highest = numbers.next() % (1 << 40) + 4096
            let sequence = numbers.next() % 2 == 0 ? highest + numbers.next() % (1 << 31) : highest - numbers.next() % 64
            #expect(SequenceNumber.infer(low: UInt32(truncatingIfNeeded: sequence), highest: highest, window: 64) == sequence)
        }
    }
}
