# An exec target for local Windows accounts; runs elevated, PowerShell 5.1 or newer. Not tried by dirsweep's own tests.
# In the config: command = ["powershell.exe", "-NoProfile", "-NonInteractive", "-File", "windows-users.ps1"]
# Values are parameters of cmdlets, never pasted into a command. The protocol: docs/targets/exec.md.
$ErrorActionPreference = 'Stop'
$utf8 = New-Object System.Text.UTF8Encoding $false
$in = New-Object System.IO.StreamReader ([Console]::OpenStandardInput()), $utf8
$out = New-Object System.IO.StreamWriter ([Console]::OpenStandardOutput()), $utf8
$out.NewLine = "`n"
function Say($answer) { $answer.id = $request.id; $out.WriteLine((ConvertTo-Json $answer -Compress -Depth 5)); $out.Flush() }
function Show($user) {
  @{ account = @{ id = $user.SID.Value; userName = $user.Name; active = $user.Enabled; attributes = @{ displayName = $user.FullName } } }
}
while ($null -ne ($line = $in.ReadLine())) {
  $request = ConvertFrom-Json $line
  try {
    if ($request.account.id) { $sid = [Security.Principal.SecurityIdentifier]$request.account.id }
    switch -CaseSensitive ($request.op) {
      'hello' { Say @{ hello = @{ version = 1; name = 'Windows users'; attributes = @('displayName')
            operations = @('accounts', 'account', 'update', 'enable', 'disable', 'delete') } } }
      'accounts' { $all = @(Get-LocalUser); foreach ($user in $all) { Say (Show $user) }; Say @{ end = $true; count = $all.Count } }
      'account' { Say (Show (Get-LocalUser -SID $sid)) }
      'update' { Set-LocalUser -SID $sid -FullName "$($request.set.displayName)"; Say @{} }
      'enable' { Enable-LocalUser -SID $sid; Say @{} }
      'disable' { Disable-LocalUser -SID $sid; Say @{} }
      'delete' { Remove-LocalUser -SID $sid; Say @{} }
      default { Say @{ error = 'rejected'; message = "no operation $($request.op)" } }
    }
  } catch [Microsoft.PowerShell.Commands.UserNotFoundException] { Say @{ error = 'not_found' }
  } catch [System.Management.Automation.RuntimeException] {
    if ($request.account.id -and -not ($request.account.id -match '^S-1-')) { Say @{ error = 'not_found' } }
    else { Say @{ error = 'unavailable'; message = "$_" } }
  } catch { Say @{ error = 'unavailable'; message = "$_" } }
}
