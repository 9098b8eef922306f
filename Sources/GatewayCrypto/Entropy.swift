import Synchronization

/// Where random octets come from: SPIs, nonces, cookies, ephemeral keys. A value given at birth, so that a run can be repeated.
package protocol Entropy: Sendable {
    /// Octets that may be seen by others: SPIs, nonces.
    func octets(_ count: Int) -> [UInt8]
    /// Octets that may not: private values, keys.
    func secret(_ count: Int) -> SecretOctets
}

/// The library's generator, seeded by the kernel.
package struct SystemEntropy: Entropy {
    package init() {}

    package func octets(_ count: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: max(count, 0))
        unsafe result.withUnsafeMutableBytes { unsafe LibCrypto.randomize($0, secret: false) }
        return result
    }

    package func secret(_ count: Int) -> SecretOctets {
        var result = SecretOctets(count: count)
        unsafe result.withUnsafeMutableBytes { unsafe LibCrypto.randomize($0, secret: true) }
        return result
    }
}

/// A repeatable stream for tests and simulations (SplitMix64): never for keys of real sessions.
package final class SeededEntropy: Entropy {
    private let state: Mutex<UInt64>

    package init(seed: UInt64) {
        state = Mutex(seed)
    }

    package func octets(_ count: Int) -> [UInt8] {
        state.withLock { state in
            var result: [UInt8] = []
            result.reserveCapacity(max(count, 0))
            while result.count < count {
                var word = Self.next(&state)
                for _ in 0..<min(8, count - result.count) {
                    result.append(UInt8(truncatingIfNeeded: word))
                    word >>= 8
                }
            }
            return result
        }
    }

    package func secret(_ count: Int) -> SecretOctets {
        SecretOctets(copying: octets(count))
    }

    private static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}
