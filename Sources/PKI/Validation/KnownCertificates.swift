import Synchronization

/// Certificates that were read before, by their exact octets: to read one takes OpenSSL 3.0 a quarter of a millisecond, more than all else of a
/// path's validation, since it gathers its decoders anew for every key. Nothing but the reading is remembered: signatures, constraints, usages and
/// times are looked at in each login.
///
/// What stands here was in a path that was validated, so strangers put nothing in (threats.md C3), and OpenSSL has added to it all that it ever
/// adds: in 3.0 other threads would see a policy cache while it is being filled.
final class KnownCertificates: Sendable {
    /// A certificate as a value, and as OpenSSL has it.
    struct Known {
        let certificate: Certificate
        let library: LibCertificate
    }

    /// Of one generation; there are two. A certificate takes about 10 KiB.
    static let standardLimit = 512

    /// Who comes again moves to the younger ones; when those are too many, the older ones go.
    private struct Generations {
        var younger: [[UInt8]: Known] = [:]
        var older: [[UInt8]: Known] = [:]

        mutating func keep(_ known: Known, limit: Int) {
            if younger.count >= limit {
                older = younger
                younger = [:]
            }
            younger[known.certificate.der] = known
        }
    }

    private let generations = Mutex(Generations())
    private let limit: Int

    init(limit: Int = KnownCertificates.standardLimit) {
        self.limit = limit
    }

    func find(_ octets: [UInt8]) -> Known? {
        generations.withLock { generations in
            if let known = generations.younger[octets] { return known }
            guard let known = generations.older.removeValue(forKey: octets) else { return nil }
            generations.keep(known, limit: limit)
            return known
        }
    }

    /// Of a path that was validated, whole.
    func keep(_ path: [Known]) {
        generations.withLock { generations in
            for known in path where generations.younger[known.certificate.der] == nil {
                generations.older[known.certificate.der] = nil
                generations.keep(known, limit: limit)
            }
        }
    }

    var count: Int { generations.withLock { $0.younger.count + $0.older.count } }
}
