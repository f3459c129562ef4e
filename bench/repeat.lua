-- bench/repeat.lua BODY_FILE: one POST, again and again. Its headers come with wrk's -H.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

function init(args)
    wrk.method = "POST"
    wrk.body = read_file(args[1])
end
