internal import Foundation
package import GatewayCrypto
internal import Glibc

/// Octets to look for in this process's memory that are not themselves there (threats.md P28).
package struct DisguisedSecret: Sendable {
    private static let mask: UInt8 = 0xa7
    private static let count = 16
    private let octets: [UInt8]

    package struct NoMemory: Error {
        package let call: String
    }

    /// The last octets of a secret, read where it lies: a copy would be found later.
    package init(_ secret: borrowing SecretOctets) {
        octets = secret.withUnsafeBytes { all in all.suffix(Self.count).map { $0 ^ Self.mask } }
    }

    /// The first octets: where a key is followed by a salt (RFC 4106 section 8.1), which a cipher keeps elsewhere.
    package init(beginningOf secret: borrowing SecretOctets) {
        octets = secret.withUnsafeBytes { all in all.prefix(Self.count).map { $0 ^ Self.mask } }
    }

    /// Whether writable memory of this process holds them, but for the room that they are laid out in to be looked for.
    package func isInMemory() throws -> Bool {
        let memory = open("/proc/self/mem", O_RDONLY)
        guard memory >= 0 else { throw NoMemory(call: "open") }
        defer { close(memory) }
        let (size, page) = (1 << 20, 4096)
        let mapped = mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let window = mapped, window != MAP_FAILED else { throw NoMemory(call: "mmap") }
        defer { munmap(window, size + page) }
        let own = UInt(bitPattern: window)..<UInt(bitPattern: window) + UInt(size + page)
        let wanted = (window + size).assumingMemoryBound(to: UInt8.self)
        for index in octets.indices { wanted[index] = octets[index] ^ Self.mask }
        for line in try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ")
            let ends = fields[0].split(separator: "-").compactMap { UInt(String($0), radix: 16) }
            guard fields[1].hasPrefix("rw"), ends.count == 2 else { continue }
            for part in [ends[0]..<max(ends[0], min(ends[1], own.lowerBound)), min(ends[1], max(ends[0], own.upperBound))..<ends[1]] {
                var at = part.lowerBound
                while at < part.upperBound {
                    let count = pread(memory, window, min(size, Int(part.upperBound - at)), off_t(at))
                    guard count > 0 else { break }
                    if memmem(window, count, wanted, Self.count) != nil { return true }
                    at += UInt(count > page && at + UInt(count) < part.upperBound ? count - page : count)
                }
            }
        }
        return false
    }
}
