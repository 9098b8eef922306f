/// PowerShell that makes the connection on Windows 10 and 11: the machine's certificate, IKEv2, and algorithms that the gateway allows; Windows by
/// itself offers MODP-1024 only (clients.md).
struct WindowsScript {
    /// The gateway's CA in DER, beside the script.
    static let authorityFile = "ipsec-gw-ca.cer"

    let name: String
    let gateway: String

    /// With the line ends of Windows.
    var text: String { lines.joined(separator: "\r\n") + "\r\n" }

    /// Names hold no quotes (`ClientBundle.isUsable`), so single quotes keep them literal.
    private var lines: [String] {
        [
            "# The VPN to \(gateway) on Windows 10 and 11, for all users of this machine.",
            "# As administrator, in the folder with \(name).p12 and \(Self.authorityFile):",
            "#   powershell -ExecutionPolicy Bypass -File .\\\(name).ps1",
            "#Requires -RunAsAdministrator",
            "param(",
            "    [SecureString] $Password = (Read-Host -AsSecureString 'Password of \(name).p12'),",
            "    [string] $Name = 'VPN \(gateway)'",
            ")",
            "$ErrorActionPreference = 'Stop'",
            "",
            "# Whom this machine trusts, and what it proves itself by",
            "$authority = Import-Certificate -FilePath (Join-Path $PSScriptRoot '\(Self.authorityFile)') "
                + "-CertStoreLocation Cert:\\LocalMachine\\Root",
            "Import-PfxCertificate -FilePath (Join-Path $PSScriptRoot '\(name).p12') -CertStoreLocation Cert:\\LocalMachine\\My "
                + "-Password $Password | Out-Null",
            "",
            "if (Get-VpnConnection -Name $Name -AllUserConnection -ErrorAction SilentlyContinue) {",
            "    Remove-VpnConnection -Name $Name -AllUserConnection -Force",
            "}",
            "Add-VpnConnection -Name $Name -ServerAddress '\(gateway)' -TunnelType IKEv2 -AuthenticationMethod MachineCertificate "
                + "-MachineCertificateIssuerFilter $authority -EncryptionLevel Required -AllUserConnection",
            "Set-VpnConnectionIPsecConfiguration -ConnectionName $Name -AllUserConnection -EncryptionMethod AES256 "
                + "-IntegrityCheckMethod SHA256 -DHGroup Group14 -CipherTransformConstants GCMAES256 "
                + "-AuthenticationTransformConstants GCMAES256 -PfsGroup None -Force",
            "Write-Host \"Connect in Settings, Network, VPN, or with: rasdial '$Name'\"",
        ]
    }
}
