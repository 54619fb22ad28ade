'use strict';
module.exports={fromDcmjs(){},instanceDocument(){}};
