import GatewayCrypto
import Synchronization

/// Randomness that begins with the same eight octets for everybody, as two clients with one SPI would have it.
final class FixedSPI: Entropy {
    private let first = Mutex(true)
    private let rest = SystemEntropy()

    func octets(_ count: Int) -> [UInt8] {
        let isFirst = first.withLock { first in
            defer { first = false }
            return first
        }
        return isFirst ? [UInt8](repeating: 0x55, count: count) : rest.octets(count)
    }

    func secret(_ count: Int) -> SecretOctets { rest.secret(count) }
}
