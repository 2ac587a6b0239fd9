# Installs batchstep on Windows: downloads the archive for this machine, verifies its SHA-256 before it is
# unpacked, and moves the program into place. After a failure nothing is installed.
#
#   install.ps1 [[-Directory] DIR] [-Attestation] [-From URL]
#
# DIR is %LOCALAPPDATA%\batchstep\bin if it is not given. -Attestation also has gh verify that the archive
# was built by the release workflow. -From names a mirror of the release's files. See docs/install.md.
param([string] $Directory, [switch] $Attestation, [string] $From)

# In a block of its own, so that nothing of it is left in a session that runs this text. It throws and does
# not exit, because that would end such a session.
& {
    param([string] $Directory, [bool] $Attestation, [string] $From)
    Set-StrictMode -Version 2
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue' # Windows PowerShell downloads slowly while it draws the bar.
    # Windows PowerShell may offer nothing newer than TLS 1.0.
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor 3072

    # A release's install.ps1 contains that release's version and hashes (.github/package/installers.py
    # writes them), so whoever pins this script pins the program. In the repository both are empty.
    $version = ''
    $hashes = @{
    }
    $repository = 'batchstep/batchstep'
    $tries = 3

    function Find-Target {
        if ($env:OS -ne 'Windows_NT') { throw 'install.ps1: On Linux and macOS use install.sh.' }
        # A 32-bit PowerShell sees the machine's own architecture in the second variable.
        $machine = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
        switch ($machine) {
            'AMD64' { 'x86_64-pc-windows-msvc' }
            'ARM64' { 'aarch64-pc-windows-msvc' }
            default { throw "install.ps1: There is no batchstep for Windows on $machine." }
        }
    }

    function Find-Hash([string] $Target) {
        if (-not $version) {
            throw 'install.ps1: This is the script in the repository. It names no release: use that of a release.'
        }
        if ($hashes[$Target] -match '^[0-9a-f]{64}$') { return $hashes[$Target] }
        throw "install.ps1: This script has no SHA-256 for $Target."
    }

    # The status of the reply, or 0 if there was none.
    function Get-Status($Failure) {
        $response = $Failure.Exception.PSObject.Properties['Response']
        if ($response -and $response.Value) { [int] $response.Value.StatusCode } else { 0 }
    }

    function Save-Download([string] $Address, [string] $File) {
        for ($try = 1; ; $try++) {
            try {
                Invoke-WebRequest -UseBasicParsing -TimeoutSec 300 -Uri $Address -OutFile $File
                return
            } catch {
                $status = Get-Status $_
                $reason = $_.Exception.Message
                if ($status -ge 400 -and $status -lt 500 -and $status -ne 408 -and $status -ne 429) {
                    throw "install.ps1: $Address cannot be downloaded: the server answered $status."
                }
                if ($try -eq $tries) { throw "install.ps1: $Address cannot be downloaded, in $tries tries: $reason" }
                Start-Sleep -Seconds ($try * $try)
            }
        }
    }

    function Test-Download([string] $File, [string] $Address, [string] $Pinned) {
        $found = (Get-FileHash -Algorithm SHA256 -LiteralPath $File).Hash.ToLowerInvariant()
        if ($found -cne $Pinned) {
            $hash = "its SHA-256 is $found, not $Pinned"
            throw "install.ps1: $Address is not the file that was released: $hash. It was not unpacked."
        }
        if (-not $Attestation) { return }
        if (-not (Get-Command gh -ErrorAction SilentlyContinue)) {
            throw 'install.ps1: `-Attestation` needs `gh`, which is not installed.'
        }
        & gh attestation verify $File --repo $repository --deny-self-hosted-runners `
            --signer-workflow "$repository/.github/workflows/cli-release.yml" `
            --source-ref "refs/tags/cli/v$version" | Out-Host
        if ($LASTEXITCODE -ne 0) {
            throw "install.ps1: gh could not verify the attestation of $Address. It was not unpacked."
        }
    }

    # The draft is beside the place that it is moved to, so that no half of it is ever there.
    function Move-Program([string] $Program) {
        New-Item -ItemType Directory -Force -Path $Directory | Out-Null
        $draft = Join-Path $Directory ".batchstep-$PID.exe"
        try {
            Copy-Item -LiteralPath $Program -Destination $draft
            $said = & $draft --version
            if ($said -cne "batchstep $version") {
                throw "install.ps1: The program says that it is `"$said`", not `"batchstep $version`"."
            }
            Move-Item -Force -LiteralPath $draft -Destination (Join-Path $Directory 'batchstep.exe')
        } finally {
            Remove-Item -Force -LiteralPath $draft -ErrorAction SilentlyContinue
        }
    }

    if (-not $Directory) { $Directory = Join-Path $env:LOCALAPPDATA 'batchstep\bin' }
    if (-not $From) { $From = "https://github.com/$repository/releases/download/cli/v$version" }
    if ($From -notmatch '^https://') { throw "install.ps1: The address $From does not begin with https://." }
    $target = Find-Target
    $pinned = Find-Hash $target
    $address = "$($From.TrimEnd('/'))/batchstep-$target.zip"
    $work = Join-Path ([IO.Path]::GetTempPath()) "batchstep-$([Guid]::NewGuid())"
    New-Item -ItemType Directory -Path $work | Out-Null
    try {
        $archive = Join-Path $work 'batchstep.zip'
        Save-Download $address $archive
        Test-Download $archive $address $pinned
        Expand-Archive -LiteralPath $archive -DestinationPath $work
        Move-Program (Join-Path $work 'batchstep.exe')
    } finally {
        Remove-Item -Recurse -Force -LiteralPath $work -ErrorAction SilentlyContinue
    }
    $attested = if ($Attestation) { ' and its attestation is that of the release workflow' } else { '' }
    Write-Output "batchstep $version is installed in $Directory; its SHA-256 is the pinned one$attested."
    if (";$env:PATH;" -notlike "*;$($Directory.TrimEnd('\'));*") { Write-Output "$Directory is not in PATH." }
} $Directory $Attestation.IsPresent $From
