-- The operations as Directus takes them. It is told the fields of its answers: all would be all memberships, too.

return function(tools)
   local any, some, send = tools.any, tools.some, tools.send
   local collections = "/items/collections"
   local memberships = "/items/collections_assets"
   local fields = "fields=id,name,created,updated"
   local of_asset = "id,name,kind,width,height,created,updated,file"
   local of_member = "assets_id." .. of_asset:gsub(",", ",assets_id.")

   -- Those added last come first.
   local function page(number)
      return function()
         local filter = "?filter[collections_id][_eq]=" .. any("large")
         return send("GET", memberships .. filter .. "&sort=-id&limit=100&page=" .. number .. "&fields=" .. of_member)
      end
   end

   return {
      get = function() return send("GET", collections .. "/" .. any("collections") .. "?" .. fields) end,
      list = function() return send("GET", collections .. "?sort=-created&limit=100&" .. fields) end,
      create = function()
         return send("POST", collections .. "?" .. fields, '{"name":"Collection ' .. tools.count() .. '"}')
      end,
      add = function()
         local path = collections .. "/" .. any("collections") .. "?" .. fields
         local new = some("assets", 49):gsub('"[^",]+"', '{"assets_id":%0}')
         return send("PATCH", path, '{"assets":{"create":[' .. new .. "]}}")
      end,
      -- With the number of an `add` before it, of the same.
      remove = function()
         local collection = '"collections_id":{"_eq":"' .. any("collections") .. '"}'
         local filter = "{" .. collection .. ',"assets_id":{"_in":[' .. some("assets", 49) .. "]}}"
         return send("DELETE", memberships, '{"query":{"limit":-1,"filter":' .. filter .. "}}")
      end,
      first = page(1),
      last = page(100),
      bulk = function()
         return send("SEARCH", "/items/assets?fields=" .. of_asset, '{"keys":[' .. some("assets", 200) .. ']}')
      end,
      thumbnail = function() return send("GET", any("thumbnails")) end,
      search = function()
         return send("GET", "/items/assets?search=" .. any("words") .. "&sort=-created&limit=20&fields=" .. of_asset)
      end,
   }
end
