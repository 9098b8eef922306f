internal import CLinux
internal import Glibc
internal import Wire

/// A request to the kernel, RFC 3549 section 2.3.2: header, fixed part, attributes; integers in the host's byte order.
struct NetlinkRequest {
    private(set) var octets: [UInt8] = []

    /// `flags` beside NLM_F_REQUEST.
    init(_ type: Int, flags: Int32, fixed: [UInt8]) {
        append(UInt32(0))  // length, patched by `finished`
        append(UInt16(truncatingIfNeeded: type))
        append(UInt16(truncatingIfNeeded: flags | Int32(NLM_F_REQUEST)))
        append(UInt32(0))  // sequence number, patched by `finished`
        append(UInt32(0))  // port: the kernel fills it in
        octets.append(contentsOf: fixed)
        align()
    }

    mutating func append(_ value: some FixedWidthInteger & BitwiseCopyable) {
        octets.append(contentsOf: Self.native(value))
    }

    /// Octets of an integer in the host's order.
    static func native(_ value: some FixedWidthInteger & BitwiseCopyable) -> [UInt8] {
        unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
    }

    mutating func attribute(_ type: Int, _ payload: [UInt8]) {
        append(UInt16(truncatingIfNeeded: 4 + payload.count))
        append(UInt16(truncatingIfNeeded: type))
        octets.append(contentsOf: payload)
        align()
    }

    mutating func attribute(_ type: Int, _ value: some FixedWidthInteger & BitwiseCopyable) {
        attribute(type, Self.native(value))
    }

    /// An attribute of attributes.
    static func nested(_ attributes: [(type: Int, payload: [UInt8])]) -> [UInt8] {
        var holder = NetlinkRequest(0, flags: 0, fixed: [])
        let start = holder.octets.count
        for (type, payload) in attributes { holder.attribute(type, payload) }
        return Array(holder.octets[start...])
    }

    private mutating func align() {
        while octets.count % 4 != 0 { octets.append(0) }
    }

    /// The octets to send.
    func finished(sequence: UInt32) -> [UInt8] {
        var message = octets
        message.replaceSubrange(0..<4, with: Self.native(UInt32(message.count)))
        message.replaceSubrange(8..<12, with: Self.native(sequence))
        return message
    }
}

/// One message from the kernel.
struct NetlinkMessage {
    let type: Int
    let flags: UInt16
    let sequence: UInt32
    /// Behind the header.
    let payload: [UInt8]

    /// The messages of one datagram; what is cut off or malformed ends the list.
    static func all(in datagram: ArraySlice<UInt8>) -> [NetlinkMessage] {
        var list: [NetlinkMessage] = []
        var rest = datagram
        while let length = rest.native(UInt32.self, at: 0), length >= 16, Int(length) <= rest.count,
            let type = rest.native(UInt16.self, at: 4), let flags = rest.native(UInt16.self, at: 6),
            let sequence = rest.native(UInt32.self, at: 8)
        {
            list.append(
                NetlinkMessage(type: Int(type), flags: flags, sequence: sequence, payload: Array(rest.dropFirst(16).prefix(Int(length) - 16))))
            rest = rest.dropFirst((Int(length) + 3) / 4 * 4)
        }
        return list
    }

    /// The attributes behind a fixed part of `skip` octets, by type.
    func attributes(after skip: Int) -> [Int: [UInt8]] {
        Self.attributes(payload.dropFirst((skip + 3) / 4 * 4))
    }

    static func attributes(_ octets: ArraySlice<UInt8>) -> [Int: [UInt8]] {
        var found: [Int: [UInt8]] = [:]
        var rest = octets
        while let length = rest.native(UInt16.self, at: 0), length >= 4, Int(length) <= rest.count,
            let type = rest.native(UInt16.self, at: 2)
        {
            found[Int(type & 0x3fff)] = Array(rest.dropFirst(4).prefix(Int(length) - 4))
            rest = rest.dropFirst((Int(length) + 3) / 4 * 4)
        }
        return found
    }
}

extension Collection<UInt8> where Index == Int, Self: RandomAccessCollection {
    /// The integer in the host's byte order that begins `offset` octets from the start; nil when there are too few.
    func native<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T? {
        let size = T.bitWidth / 8
        guard offset >= 0, count - offset >= size else { return nil }
        var value = T.zero
        for index in 0..<size { value |= T(truncatingIfNeeded: self[startIndex + offset + index]) << T(8 * index) }
        return T(littleEndian: value)
    }

    /// The text up to the first zero octet.
    var text: String { String(decoding: prefix { $0 != 0 }, as: UTF8.self) }
}
