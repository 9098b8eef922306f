#if !MULTI_BUFFER
// Builds without intel-ipsec-mb: nothing of it can be made.

enum MultiBuffer {
    static var isUsable: Bool { false }
    static var description: String { "not in this build" }
}

struct MultiBufferBlock: ~Copyable, Sendable {
    var keys: MultiBufferKeys? { nil }

    init(
        _ engine: CryptoEngine, _ cipher: CipherRow, mac: MACRow?, key: borrowing SecretOctets, macKey: borrowing SecretOctets, seals: Bool
    ) throws(CryptoError) {
        guard engine == .openSSL else { throw .unsupported }
    }
}

/// Of these there are none.
struct MultiBufferKeys: Sendable {
    private init() {}

    var worksAlone: Bool { @_noLocks get { false } }
    var lane: Lane { @_noLocks get { Lane.none } }
    var separatesAssociatedData: Bool { @_noLocks get { false } }
    var jobs: UnsafeMutablePointer<Int>? { @_noLocks get { nil } }

    @_noLocks func sendFor() {}

    func setSalt(_ salt: UnsafeRawBufferPointer) {}

    @_noLocks func seal(
        _ saltLength: Int, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        icv: UnsafeMutableRawBufferPointer
    ) -> Bool { false }

    @_noLocks func open(
        _ saltLength: Int, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        icv: UnsafeRawBufferPointer
    ) -> Bool { false }
}

struct MultiBufferJobs: ~Copyable, Sendable {
    struct Finished {
        let ticket: Int
        let succeeded: Bool
    }
    enum Submission {
        case refused
        case waiting
        case finished(Finished)
    }

    init(_ engine: CryptoEngine) throws(CryptoError) {
        guard engine == .openSSL else { throw .unsupported }
    }

    init() {}

    @_noLocks func submit(
        _ keys: MultiBufferKeys, ticket: Int, nonce: UnsafeRawPointer, aad: UnsafeRawBufferPointer, packet: UnsafeMutableRawBufferPointer,
        text: UnsafeMutableRawBufferPointer, tag: UnsafeMutableRawPointer
    ) -> Submission { .refused }

    @_noLocks func flush() -> Finished? { nil }
}
#endif
