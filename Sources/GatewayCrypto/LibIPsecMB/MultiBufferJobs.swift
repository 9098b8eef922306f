#if MULTI_BUFFER
import CIPsecMB

/// The library's manager of jobs: it takes records of many keys and works on several at a time. One thread's.
@safe struct MultiBufferJobs: ~Copyable, @unchecked Sendable {
    /// A job that has come back.
    struct Finished {
        let ticket: Int
        let succeeded: Bool
    }
    enum Submission {
        /// Not one for the library: nothing was touched.
        case refused
        /// Taken, and nothing has come back.
        case waiting
        /// Taken, and a job has come back, perhaps an earlier one.
        case finished(Finished)
    }

    private let manager: UnsafeMutablePointer<IMB_MGR>?

    /// For the other engine it takes nothing. Throws `.unsupported` on processors that the library is not used on, and without memory.
    init(_ engine: CryptoEngine) throws(CryptoError) {
        guard engine == .multiBuffer else {
            unsafe manager = nil
            return
        }
        guard let fresh = unsafe MultiBuffer.manager() else { throw .unsupported }
        unsafe manager = fresh
    }

    /// Takes nothing.
    init() { unsafe manager = nil }

    // It wipes what it knows of a record when that is finished.
    deinit {
        if let manager = unsafe manager { unsafe free_mb_mgr(manager) }
    }

    /// The library's lanes count in 16 bits.
    private static var longest: Int { @_noLocks get { 65_520 } }

    /// Takes a record: `packet` is in one piece what the MAC covers, associated data apart from it with ChaCha20; `text` lies within. All of it, `nonce`
    /// and `tag` (64 octets, where the whole ICV comes to stand) stay where they are until the job is back.
    @_noLocks func submit(
        _ keys: MultiBufferKeys, ticket: Int, nonce: UnsafeRawPointer, aad: UnsafeRawBufferPointer, packet: UnsafeMutableRawBufferPointer,
        text: UnsafeMutableRawBufferPointer, tag: UnsafeMutableRawPointer
    ) -> Submission {
        guard let manager = unsafe manager, let base = packet.baseAddress, let start = text.baseAddress, text.count > 0, packet.count <= Self.longest,
            text.count <= packet.count
        else { return .refused }
        let offset = unsafe UnsafeRawPointer(start) - UnsafeRawPointer(base)
        guard offset >= 0, offset <= packet.count &- text.count else { return .refused }
        let seals: Int32 = keys.seals ? 1 : 0
        let back: UnsafeMutablePointer<IMB_JOB>?
        switch keys.kind {
        case .gcm:
            return .refused
        case .gmac:
            unsafe back = gw_mb_submit_gmac(manager, ticket, seals, keys.bits, keys.key, base, packet.count, nonce, tag)
        case .chaCha20Poly1305:
            unsafe back = gw_mb_submit_chacha20_poly1305(
                manager, ticket, seals, keys.key, start, text.count, nonce, aad.baseAddress ?? UnsafeRawPointer(base), aad.count, tag)
        case .hmac:
            guard keys.keyLength == 0 || offset >= 16 && text.count % 16 == 0 else { return .refused }
            unsafe back = gw_mb_submit_hmac(
                manager, ticket, seals, keys.key, keys.keyLength, keys.hash, keys.inner, keys.outer, base, keys.keyLength == 0 ? 0 : offset &- 16,
                offset, text.count, packet.count, tag, keys.icvLength)
        }
        guard let back = unsafe back else { return .waiting }
        return .finished(unsafe Self.finished(back))
    }

    /// Finishes what waits, one call a job; nil when nothing does.
    @_noLocks func flush() -> Finished? {
        guard let manager = unsafe manager, let back = unsafe gw_mb_flush(manager) else { return nil }
        return unsafe Self.finished(back)
    }

    private static func finished(_ job: UnsafeMutablePointer<IMB_JOB>) -> Finished {
        unsafe Finished(ticket: gw_mb_ticket(job), succeeded: gw_mb_succeeded(job) == 1)
    }
}
#endif
