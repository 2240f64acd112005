console.log("hello from Node,", require("ms")(60000));
