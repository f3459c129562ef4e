-- bench/kms_sign.lua BODY_FILE: a call of KMS's Sign, again and again, without the service.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

function init(args)
    wrk.method = "POST"
    wrk.body = read_file(args[1])
    wrk.headers["Content-Type"] = "application/x-amz-json-1.1"
    wrk.headers["X-Amz-Target"] = "TrentService.Sign"
end
