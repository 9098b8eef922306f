import GatewayCrypto
import Glibc
import PKI

/// The files that `pki` and cert-profiles name. A key goes straight into memory that is wiped (threats.md P28).
enum CertificateFile {
    /// Octets of the largest file that is read: a chain of many certificates.
    static let limit = 1 << 20

    enum Failure: Error, Hashable {
        case unreadable(String)
        case tooLarge
    }

    /// Throws `Failure`.
    static func certificate(_ path: String) throws(Failure) -> [UInt8] {
        let file = try secret(path)
        return file.exposed()
    }

    /// Throws `Failure`.
    static func secret(_ path: String) throws(Failure) -> SecretOctets {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable(reason) }
        defer { close(descriptor) }
        var contents = SecretOctets(count: limit + 1)
        var count = 0
        while count <= limit {
            let length = unsafe contents.withUnsafeMutableBytes { octets in
                unsafe read(descriptor, octets.baseAddress.map { unsafe $0 + count }, octets.count - count)
            }
            guard length >= 0 else { throw .unreadable(reason) }
            if length == 0 { break }
            count += length
        }
        guard count <= limit, let file = try? contents.slice(0..<count) else { throw .tooLarge }
        return file
    }

    private static var reason: String { unsafe String(cString: strerror(errno)) }
}

extension CertificateFile.Failure {
    var text: String {
        switch self {
        case .unreadable(let reason): "a file that cannot be read: \(reason)"
        case .tooLarge: "a file of more than \(CertificateFile.limit >> 20) MiB"
        }
    }
}
