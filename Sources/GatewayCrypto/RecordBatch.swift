internal import Wire

/// Records of many ciphers, sealed and opened together: what the multi-buffer engine is quick at. One thread's; nothing is allocated, locked or counted
/// per record.
///
/// Add records, `flush()`, ask each ticket, `removeAll()`. A record's octets and its cipher stay where they are until the flush. What the engine gains
/// nothing by, or OpenSSL does, is done at once; the ticket tells no difference.
@safe package struct RecordBatch: ~Copyable, @unchecked Sendable {
    /// The most records between two calls of `removeAll`.
    package let capacity: Int
    /// Tickets given.
    package private(set) var count = 0
    private var waiting = 0
    private var failures = 0
    private let slots: UnsafeMutablePointer<Slot>
    // For each slot: tag, ICV that came, nonce, associated data
    private let scratch: UnsafeMutableRawPointer
    private let jobs: MultiBufferJobs
    private let inPlace = InPlace()

    private enum State { case waiting, succeeded, failed }

    @safe private struct Slot {
        var state: State
        var seals: Bool
        /// Whether a text that does not verify is to be wiped.
        var wipes: Bool
        var text: UnsafeMutableRawBufferPointer
        var icv: UnsafeMutableRawBufferPointer
        /// The count of jobs under its keys.
        var uses: UnsafeMutablePointer<Int>?
    }

    private static var stride: Int { @_noLocks get { 128 } }
    private static var icvPlace: Int { @_noLocks get { 64 } }
    private static var noncePlace: Int { @_noLocks get { 96 } }
    private static var associatedPlace: Int { @_noLocks get { 112 } }

    /// Throws `.unsupported` when this machine has no such engine.
    package init(capacity: Int, engine: CryptoEngine = .preferred) throws(CryptoError) {
        self.init(capacity, try MultiBufferJobs(engine))
    }

    /// One that does records one at a time where the engine cannot be had, for want of memory.
    package init(atMost capacity: Int, engine: CryptoEngine) {
        self.init(capacity, Self.jobs(engine))
    }

    private static func jobs(_ engine: CryptoEngine) -> MultiBufferJobs {
        do throws(CryptoError) { return try MultiBufferJobs(engine) } catch { return MultiBufferJobs() }
    }

    private init(_ capacity: Int, _ jobs: consuming MultiBufferJobs) {
        self.jobs = jobs
        self.capacity = max(capacity, 1)
        unsafe slots = .allocate(capacity: self.capacity)
        unsafe scratch = .allocate(byteCount: self.capacity * Self.stride, alignment: 64)
        unsafe scratch.initializeMemory(as: UInt8.self, repeating: 0, count: self.capacity * Self.stride)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe scratch.deallocate()
    }

    /// As `RecordCipher.seal`. Nil: the batch is full.
    @_noLocks package mutating func seal(
        _ cipher: inout RecordCipher, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        macTrailer: UnsafeRawBufferPointer, icv: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let ticket = unsafe next(seals: true, text, icv) else { return nil }
        guard cipher.seals, unsafe cipher.fits(iv, text, macTrailer, icvCount: icv.count) else {
            settle(ticket, false)
            return ticket
        }
        if unsafe !submit(&cipher, ticket, aad, iv, macTrailer) {
            unsafe settle(ticket, cipher.seal(aad: aad, iv: iv, text: text, macTrailer: macTrailer, icv: icv))
        }
        return ticket
    }

    /// As `RecordCipher.open`, but that the octets of the ICV may change, and that a text that does not verify may become zeros with every cipher.
    /// Nil: the batch is full.
    @_noLocks package mutating func open(
        _ cipher: inout RecordCipher, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        macTrailer: UnsafeRawBufferPointer, icv: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let ticket = unsafe next(seals: false, text, icv) else { return nil }
        guard !cipher.seals, unsafe cipher.fits(iv, text, macTrailer, icvCount: icv.count) else {
            settle(ticket, false)
            return ticket
        }
        if unsafe !submit(&cipher, ticket, aad, iv, macTrailer) {
            unsafe settle(ticket, cipher.open(aad: aad, iv: iv, text: text, macTrailer: macTrailer, icv: UnsafeRawBufferPointer(icv)))
        }
        return ticket
    }

    /// Finishes all that was added.
    @_noLocks package mutating func flush() {
        while waiting > 0 {
            guard let finished = jobs.flush() else { return }
            finish(finished)
        }
    }

    /// Whether the record was sealed or opened; false before the flush.
    @_noLocks package func succeeded(_ ticket: Int) -> Bool {
        guard ticket >= 0, ticket < count else { return false }
        return unsafe slots[ticket].state == .succeeded
    }

    /// Whether every record was; asked after the flush.
    package var allSucceeded: Bool { @_noLocks get { failures == 0 && waiting == 0 } }

    /// Forgets all tickets, after a flush of what still waits.
    @_noLocks package mutating func removeAll() {
        flush()
        count = 0
        failures = 0
    }

    // MARK: -

    private mutating func next(seals: Bool, _ text: UnsafeMutableRawBufferPointer, _ icv: UnsafeMutableRawBufferPointer) -> Int? {
        guard count < capacity else { return nil }
        let ticket = count
        unsafe (slots + ticket).initialize(to: Slot(state: .failed, seals: seals, wipes: false, text: text, icv: icv, uses: nil))
        count &+= 1
        return ticket
    }

    private mutating func settle(_ ticket: Int, _ succeeded: Bool) {
        unsafe slots[ticket].state = succeeded ? .succeeded : .failed
        if !succeeded { failures &+= 1 }
    }

    /// Gives a record to the library if it is one for it and lies as it wants it: as ESP packets do.
    private mutating func submit(
        _ cipher: inout RecordCipher, _ ticket: Int, _ aad: UnsafeRawBufferPointer, _ iv: UnsafeRawBufferPointer,
        _ trailer: UnsafeRawBufferPointer
    ) -> Bool {
        guard let keys = cipher.fast, !keys.lane.isNone, let text = unsafe slots[ticket].text.baseAddress,
            let icv = unsafe slots[ticket].icv.baseAddress
        else { return false }
        let length = unsafe slots[ticket].text.count
        let place = unsafe scratch + ticket &* Self.stride
        let nonce = unsafe place + Self.noncePlace
        let associated = unsafe place + Self.associatedPlace
        guard iv.count <= 16, unsafe slots[ticket].icv.count <= 32, unsafe cipher.suite.ivLength == 16 || cipher.writeNonce(iv, to: nonce) else {
            return false
        }
        var packet = unsafe UnsafeMutableRawBufferPointer(start: text, count: length)
        if keys.separatesAssociatedData {
            guard aad.count <= 16, unsafe LibCrypto.copyPrefix(aad, into: UnsafeMutableRawBufferPointer(start: associated, count: aad.count)) else {
                return false
            }
        } else {
            let before = aad.count &+ iv.count
            let start = unsafe text - before
            guard unsafe Self.stands(aad, at: start), unsafe Self.stands(iv, at: start + aad.count) else { return false }
            // What follows the text must be ours to write on
            guard unsafe trailer.count == 0 || icv == text + length && trailer.count <= slots[ticket].icv.count else { return false }
            unsafe packet = UnsafeMutableRawBufferPointer(start: start, count: before &+ length &+ trailer.count)
        }
        if unsafe !slots[ticket].seals {
            let kept = unsafe UnsafeMutableRawBufferPointer(start: place + Self.icvPlace, count: slots[ticket].icv.count)
            guard unsafe LibCrypto.copyPrefix(UnsafeRawBufferPointer(slots[ticket].icv), into: kept) else { return false }
        }
        guard unsafe LibCrypto.copyPrefix(trailer, into: UnsafeMutableRawBufferPointer(start: icv, count: trailer.count)) else { return false }
        let submission =
            unsafe jobs.submit(
                keys, ticket: ticket, nonce: nonce, aad: UnsafeRawBufferPointer(start: associated, count: aad.count), packet: packet,
                text: slots[ticket].text, tag: place)
        var back: MultiBufferJobs.Finished?
        switch submission {
        case .refused:
            // As it came
            if unsafe !slots[ticket].seals {
                _ = unsafe LibCrypto.copyPrefix(
                    UnsafeRawBufferPointer(start: place + Self.icvPlace, count: slots[ticket].icv.count), into: slots[ticket].icv)
            }
            return false
        case .waiting: break
        case .finished(let finished): back = finished
        }
        waiting &+= 1
        unsafe slots[ticket].state = .waiting
        unsafe slots[ticket].wipes = cipher.suite.encrypts
        unsafe slots[ticket].uses = keys.jobs
        unsafe slots[ticket].uses?.pointee &+= 1
        if let back { finish(back) }
        return true
    }

    /// Whether a part stands there; one of no octets stands everywhere.
    private static func stands(_ part: UnsafeRawBufferPointer, at place: UnsafeMutableRawPointer) -> Bool {
        unsafe part.count == 0 || part.baseAddress == UnsafeRawPointer(place)
    }

    private mutating func finish(_ finished: MultiBufferJobs.Finished) {
        let ticket = finished.ticket
        guard ticket >= 0, ticket < count, unsafe slots[ticket].state == .waiting else { return }
        waiting &-= 1
        unsafe slots[ticket].uses?.pointee &-= 1
        let icv = unsafe slots[ticket].icv
        let place = unsafe scratch + ticket &* Self.stride
        let tag = unsafe UnsafeRawBufferPointer(start: place, count: icv.count)
        let fits =
            unsafe slots[ticket].seals
            ? LibCrypto.copyPrefix(tag, into: icv)
            : LibCrypto.isPrefix(UnsafeRawBufferPointer(start: place + Self.icvPlace, count: icv.count), of: tag)
        settle(ticket, finished.succeeded && fits)
        // It decrypts whatever the MAC says: unverified text goes to nobody
        if unsafe slots[ticket].state == .failed, unsafe slots[ticket].wipes { unsafe LibCrypto.wipe(slots[ticket].text) }
    }
}
