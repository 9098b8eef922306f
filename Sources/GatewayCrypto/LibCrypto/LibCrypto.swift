import COpenSSL
import Glibc

/// OpenSSL's libcrypto. Every call into it stands in this folder, behind an explicit check of the lengths it relies on (threats.md C4).
/// Pointers go no further than the owners below; results are values.
enum LibCrypto {
    static var version: String { unsafe String(cString: OpenSSL_version(OPENSSL_VERSION)) }

    // MARK: Memory

    /// Zeroed octets, at least one; memory that is not to be had ends the process, as it does everywhere in Swift.
    static func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        guard let block = unsafe gw_allocate(max(count, 1)) else { fatalError("out of memory") }
        return unsafe block
    }

    static func wipeAndFree(_ block: UnsafeMutableRawPointer, _ count: Int) {
        unsafe gw_wipe_and_free(block, max(count, 1))
    }

    @_noLocks static func wipe(_ octets: UnsafeMutableRawBufferPointer) {
        guard octets.count > 0, let base = octets.baseAddress else { return }
        unsafe gw_wipe(base, octets.count)
    }

    /// Constant time but for the lengths.
    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        unsafe left.count == right.count && isPrefix(left, of: right)
    }

    /// Whether `whole` begins with `prefix`; constant time but for the lengths.
    @_noLocks static func isPrefix(_ prefix: UnsafeRawBufferPointer, of whole: UnsafeRawBufferPointer) -> Bool {
        guard prefix.count <= whole.count else { return false }
        guard let left = prefix.baseAddress, let right = whole.baseAddress else { return prefix.count == 0 }
        return unsafe gw_equal(left, right, prefix.count) == 1
    }

    /// Fills `target` with the first octets of `source`; false when there are not as many.
    @_noLocks static func copyPrefix(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard target.count <= source.count else { return false }
        guard let to = target.baseAddress, let from = source.baseAddress else { return target.count == 0 }
        unsafe gw_copy(to, from, target.count)
        return true
    }

    /// Fills the buffer from the library's generator. Without randomness nothing here is safe, so its failure ends the process.
    static func randomize(_ octets: UnsafeMutableRawBufferPointer, secret: Bool) {
        guard octets.count > 0, let base = octets.baseAddress else { return }
        let bytes = unsafe base.assumingMemoryBound(to: UInt8.self)
        guard let count = Int32(exactly: octets.count),
            unsafe (secret ? RAND_priv_bytes(bytes, count) : RAND_bytes(bytes, count)) == 1
        else { fatalError("no random octets: \(octets.count) asked for") }
    }

    /// Has the library wipe every block that it frees; false when it was used before. Otherwise it leaves private values of ECP-256 and
    /// ECP-521 behind: its curve code frees recoded scalars as they are.
    static func wipeFreedMemory() -> Bool {
        unsafe CRYPTO_set_mem_functions(
            { count, _, _ in unsafe malloc(count) },
            { block, count, _, _ in
                guard let larger = unsafe malloc(count) else { return nil }
                guard let block = unsafe block else { return unsafe larger }
                let usable = unsafe gw_usable_size(block)
                unsafe larger.copyMemory(from: block, byteCount: min(usable, count))
                unsafe gw_wipe(block, usable)
                unsafe free(block)
                return unsafe larger
            },
            { block, _, _ in
                guard let block = unsafe block else { return }
                unsafe gw_wipe(block, gw_usable_size(block))
                unsafe free(block)
            }) == 1
    }

    // MARK: Digests

    // Fetched once: a fetch takes the library's locks.
    nonisolated(unsafe) private static let digests: [OpaquePointer?] = unsafe HashFunction.allCases.map {
        unsafe EVP_MD_fetch(nil, $0.libraryName, nil)
    }

    static func algorithm(_ function: HashFunction) -> OpaquePointer? {
        guard let digest = unsafe digests[function.index], unsafe EVP_MD_get_size(digest) == Int32(function.outputLength) else {
            return nil
        }
        return unsafe digest
    }

    /// A whole digest; false unless `target` has the function's output length and the library the function.
    static func digest(
        _ function: HashFunction, _ octets: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard target.count == function.outputLength, let into = target.baseAddress, let algorithm = unsafe algorithm(function)
        else { return false }
        return unsafe EVP_Digest(
            octets.baseAddress, octets.count, into.assumingMemoryBound(to: UInt8.self), nil, algorithm, nil) == 1
    }

    /// Empties this thread's queue of the library's errors, which otherwise speak up somewhere else.
    static func libraryFault() -> CryptoError {
        ERR_clear_error()
        return .library
    }
}
