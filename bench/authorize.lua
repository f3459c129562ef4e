-- bench/authorize.lua OUT_FILE COUNT COOKIE: one authorization request of a browser whose user has logged in, until
-- COUNT codes are in OUT_FILE, one a line. For one thread.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

local out, left

function init(args)
    out = assert(io.open(args[1], "wb"))
    left = tonumber(args[2])
    wrk.headers["Authorization"], wrk.headers["Content-Type"] = nil, nil
    wrk.headers["Cookie"] = args[3]
end

function response(status, headers, body)
    local location = headers["Location"] or headers["location"] or ""
    local code = location:match("[?&]code=([%w_-]+)")
    assert(code, "an answer without a code: " .. status .. " " .. location)
    if left == 0 then
        return
    end
    out:write(code, "\n")
    left = left - 1
    if left == 0 then
        out:close()
        finish()
    end
end
