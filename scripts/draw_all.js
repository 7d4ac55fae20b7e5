// Of a report's page: scroll to each interactive figure until it is drawn, and back to the top.
async () => {
  for (const place of document.querySelectorAll(".live[data-figure]")) {
    place.scrollIntoView();
    while (!place.querySelector(".main-svg")) await new Promise(requestAnimationFrame);
  }
  scrollTo(0, 0);
}
