internal import ManagementAPI
internal import NIOCore
internal import NIOPosix
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// The control socket's file. It is bound inside a folder that only we may enter, given its mode and group there, and only
/// then moved to its name: nobody can open it with rights that it should not give, whatever the umask.
final class ControlSocket: Sendable {
    /// Octets of the longest path: the 107 of a socket address less what the staging folder adds.
    static let longestPath = 107 - stagingSuffixLength - bindName.utf8.count
    private static let stagingSuffixLength = ".0123456789abcdef".utf8.count
    private static let bindName = "/s"

    let path: String
    private let mode: mode_t
    private let group: gid_t?
    private let staging: String
    /// The inode that `path` has since `publish()`, so that nobody else's socket is removed.
    private let published = Mutex<ino_t?>(nil)

    /// Where the server binds.
    var bindPath: String { staging + Self.bindName }

    /// Makes way for the socket: its folder exists, a stale socket is gone, a living one is an error.
    init(path: String, access: ManagementServer.SocketAccess, on loops: any EventLoopGroup) async throws(ManagementServerError) {
        guard path.utf8.count <= Self.longestPath else { throw .pathTooLong(path: path) }
        self.path = path
        mode = mode_t(access.mode)
        group = try access.group.map { name throws(ManagementServerError) in try Self.groupID(name) }
        staging = path + "." + String(UInt64.random(in: 1 << 60 ... .max), radix: 16)
        try Self.makeFolder(of: path)
        try await Self.removeStale(path, on: loops)
        guard unsafe mkdir(staging, 0o700) == 0 else { throw Self.failure("mkdir", staging) }
    }

    /// Gives the bound socket its mode and group, then its name.
    func publish() throws(ManagementServerError) {
        if let group {
            guard unsafe chown(bindPath, uid_t.max, group) == 0 else { throw Self.failure("chown", path) }
        }
        guard unsafe chmod(bindPath, mode) == 0 else { throw Self.failure("chmod", path) }
        guard let inode = Self.status(bindPath)?.st_ino else { throw Self.failure("stat", path) }
        guard unsafe rename(bindPath, path) == 0 else { throw Self.failure("rename", path) }
        published.withLock { $0 = inode }
        unsafe rmdir(staging)
    }

    /// Removes what was made, unless it is somebody else's by now.
    func remove() {
        unsafe unlink(bindPath)
        unsafe rmdir(staging)
        published.withLock { inode in
            if let ours = inode, Self.status(path)?.st_ino == ours { unsafe unlink(path) }
            inode = nil
        }
    }

    private static func removeStale(_ path: String, on loops: any EventLoopGroup) async throws(ManagementServerError) {
        guard let status = status(path) else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        do {
            let channel = try await ClientBootstrap(group: loops).connectTimeout(.seconds(2)).connect(unixDomainSocketPath: path).get()
            try? await channel.close()
            throw ManagementServerError.inUse(path: path)
        } catch let error as IOError where error.errnoCode == ECONNREFUSED {
            guard unsafe unlink(path) == 0 else { throw failure("unlink", path) }
        } catch let error as IOError where error.errnoCode == ENOENT {
            return
        } catch {
            // Whoever it is that does not answer: it lives.
            throw .inUse(path: path)
        }
    }

    /// Makes the folder, not its parents: a wrong path must not fill the disk with folders.
    private static func makeFolder(of path: String) throws(ManagementServerError) {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        let folder = String(path[..<slash])
        guard status(folder) == nil else { return }
        guard unsafe mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw failure("mkdir", folder) }
    }

    private static func status(_ path: String) -> stat? {
        var result = stat()
        return unsafe lstat(path, &result) == 0 ? result : nil
    }

    private static func groupID(_ name: String) throws(ManagementServerError) -> gid_t {
        var entry = unsafe GroupEntry()
        var found: UnsafeMutablePointer<GroupEntry>?
        var buffer = [CChar](repeating: 0, count: 1 << 16)
        let result = unsafe buffer.withUnsafeMutableBufferPointer { room in
            unsafe getgrnam_r(name, &entry, room.baseAddress, room.count, &found)
        }
        guard result == 0, unsafe found != nil else { throw .unknownGroup(name) }
        return unsafe entry.gr_gid
    }

    private static func failure(_ call: String, _ path: String) -> ManagementServerError {
        .file(path: path, call: call, reason: unsafe String(cString: strerror(errno)))
    }
}

/// `struct group`, whose name the property of the same name would hide.
private typealias GroupEntry = group
