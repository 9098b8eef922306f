internal import ESP
internal import LinuxIO

/// Puts opened packets into a batch for the private side, neighbours of one flow joined to super-packets. Packets of one flow keep their order; a packet
/// that cannot be joined ends the run of its flow.
struct Joining {
    /// The last super-packet of a flow, as far as it goes.
    private struct Run {
        var place = -1
        var interface = 0
        var head = FlowSegment()
        var packets = 0
        /// Octets behind the headers.
        var payload = 0
        /// PSH and FIN of the last packet.
        var flags: UInt8 = 0
    }

    private var runs = InlineArray<8, Run>(repeating: Run())
    /// The run that gives its place up next.
    private var oldest = 0

    /// What a TUN device takes at once: 64 KiB with headers; the kernel cuts UDP into so many at the most.
    private static var mostOctets: Int { @_noLocks get { 65_000 } }
    private static var mostDatagrams: Int { @_noLocks get { 64 } }

    @_noLocks
    init() {}

    /// Adds one packet. False when the batch has no room for it.
    @_noLocks
    mutating func add(_ octets: PacketView, interface: Int, offloads: SegmentOffloads, to batch: inout Batch) -> Bool {
        guard offloads.rawValue & SegmentOffloads.header.rawValue != 0 else { return append(octets, interface, to: &batch) != nil }
        guard let segment = FlowSegment(octets) else {
            end(octets, interface, &batch)
            return append(octets, interface, to: &batch) != nil
        }
        var number = 0
        while number < 8 {
            if runs[number].place >= 0, runs[number].interface == interface {
                let run = runs[number]
                let head = unsafe PacketView(batch.octets(run.place))
                if segment.isFlow(of: run.head, octets, head) {
                    if fits(segment, run), segment.continues(run.head, octets, head, packets: run.packets, payload: run.payload) {
                        extend(number, with: segment, octets, &batch)
                        return true
                    }
                    close(number, &batch)
                    break
                }
            }
            number &+= 1
        }
        guard let place = append(octets, interface, to: &batch) else { return false }
        var verified = OffloadHeader()
        verified.flags = OffloadHeader.isVerified
        batch[place].offload = verified
        let joins = segment.isTCP ? SegmentOffloads.tcp : SegmentOffloads.udp
        guard !segment.endsRun, offloads.rawValue & joins.rawValue != 0 else { return true }
        if number == 8 { number = vacate(&batch) }
        runs[number] = Run(place: place, interface: interface, head: segment, packets: 1, payload: segment.payload)
        return true
    }

    /// Ends all runs: the batch is about to be sent.
    @_noLocks
    mutating func finish(_ batch: inout Batch) {
        var number = 0
        while number < 8 {
            close(number, &batch)
            number &+= 1
        }
    }

    /// A place for a run: a free one, or that of the run that has had it longest.
    @_noLocks
    private mutating func vacate(_ batch: inout Batch) -> Int {
        var number = 0
        while number < 8 {
            if runs[number].place < 0 { return number }
            number &+= 1
        }
        number = oldest
        oldest = (oldest &+ 1) & 7
        close(number, &batch)
        return number
    }

    @_noLocks
    private func fits(_ segment: FlowSegment, _ run: Run) -> Bool {
        run.head.headerLength &+ run.payload &+ segment.payload <= Self.mostOctets && (segment.isTCP || run.packets < Self.mostDatagrams)
    }

    @_noLocks
    private func append(_ octets: PacketView, _ interface: Int, to batch: inout Batch) -> Int? {
        guard let place = batch.append(length: octets.count) else { return nil }
        unsafe PacketView(batch.octets(place)).copy(from: octets, 0, to: 0, octets.count)
        batch[place].tag = UInt64(truncatingIfNeeded: interface)
        return place
    }

    @_noLocks
    private mutating func extend(_ number: Int, with segment: FlowSegment, _ octets: PacketView, _ batch: inout Batch) {
        let place = runs[number].place
        let entry = batch[place]
        let end = entry.length
        guard batch.place(place, start: entry.start, length: end &+ segment.payload) else { return }
        unsafe PacketView(batch.octets(place)).copy(from: octets, segment.headerLength, to: end, segment.payload)
        runs[number].packets &+= 1
        runs[number].payload &+= segment.payload
        if segment.endsRun { runs[number].flags = octets.u8(segment.ipLength &+ 13) & 0x09 }
        if segment.endsRun || segment.payload < runs[number].head.payload { close(number, &batch) }
    }

    /// Ends the runs that a packet which stands alone may belong to.
    @_noLocks
    private mutating func end(_ octets: PacketView, _ interface: Int, _ batch: inout Batch) {
        var number = 0
        while number < 8 {
            if runs[number].place >= 0, runs[number].interface == interface,
                FlowSegment.mayShareFlow(octets, unsafe PacketView(batch.octets(runs[number].place)))
            {
                close(number, &batch)
            }
            number &+= 1
        }
    }

    @_noLocks
    private mutating func close(_ number: Int, _ batch: inout Batch) {
        let run = runs[number]
        guard run.place >= 0 else { return }
        runs[number].place = -1
        guard run.packets > 1 else { return }
        run.head.lead(unsafe PacketView(batch.octets(run.place)), flags: run.flags)
        var header = OffloadHeader()
        header.flags = OffloadHeader.needsChecksum
        header.kind = run.head.isTCP ? (run.head.isIPv6 ? OffloadHeader.tcpIPv6 : OffloadHeader.tcpIPv4) : OffloadHeader.udp
        header.headerLength = UInt16(truncatingIfNeeded: run.head.headerLength)
        header.segmentSize = UInt16(truncatingIfNeeded: run.head.payload)
        header.checksumStart = UInt16(truncatingIfNeeded: run.head.ipLength)
        header.checksumOffset = UInt16(truncatingIfNeeded: run.head.checksumOffset)
        batch[run.place].offload = header
    }
}
